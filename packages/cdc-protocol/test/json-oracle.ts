/**
 * An independent reading of recorded bytes, sharing no code with the package: lines by the byte 0x0A, JSON.parse,
 * integers beyond 2^53 marked in the text first.
 */
export type PlainMessage =
  | { kind: 'schema'; version: number; gtid: string; columns: string[]; types: unknown[]; raw: string }
  | { kind: 'row'; prefix: number[]; operation: string; columns: [string, unknown][]; raw: string }
  | { kind: 'error'; text: string };

const prefixKeys = ['domain', 'server_id', 'sequence', 'event_number', 'timestamp'];

export function readPlainly(stream: Buffer): PlainMessage[] {
  const messages: PlainMessage[] = [];
  let start = 0;
  for (let end = stream.indexOf(10); end !== -1; end = stream.indexOf(10, start)) {
    let line = stream.subarray(start, end).toString();
    start = end + 1;
    while (line.startsWith('\0')) line = line.slice(1);
    const last = messages.at(-1);
    if (last?.kind === 'error' && line.endsWith("' not found.") && !line.startsWith('ERR')) {
      last.text += `\n${line}`;
    } else if (line.startsWith('ERR')) {
      messages.push({ kind: 'error', text: line });
    } else if (line !== '') {
      messages.push(readJson(line));
    }
  }
  return messages;
}

function readJson(raw: string): PlainMessage {
  const object = JSON.parse(raw.replace(/": (-?\d{16,})(?=[,}])/g, '": "bigint:$1"'), (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith('bigint:') ? narrow(BigInt(value.slice(7))) : value,
  ) as Record<string, unknown>;
  if ('namespace' in object) {
    const fields = (object['fields'] as { name: string; type: unknown }[]).slice(6);
    return {
      kind: 'schema',
      version: object['version'] as number,
      gtid: object['gtid'] as string,
      columns: fields.map(({ name }) => name),
      types: fields.map(({ type }) => (type as string[])[1]),
      raw,
    };
  }
  const entries = Object.entries(object);
  return {
    kind: 'row',
    prefix: prefixKeys.map((key) => unsigned(object[key] as number)),
    operation: object['event_type'] as string,
    columns: entries.filter(([key]) => !prefixKeys.includes(key) && key !== 'event_type'),
    raw,
  };
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function unsigned(value: number): number {
  return value < 0 ? value + 4294967296 : value;
}
