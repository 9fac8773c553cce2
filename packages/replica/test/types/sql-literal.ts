const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, b: 8, Z: 26, '0': 0 };

/** The bytes that MariaDB stored for an SQL literal of the recordings, in utf8mb4; null for NULL. */
export function evaluateLiteral(literal: string): Buffer | null {
  if (literal === 'NULL') {
    return null;
  }
  if (/^-?[\d.]+(e-?\d+)?$/.test(literal)) {
    return Buffer.from(literal);
  }
  if (literal.startsWith("x'")) {
    return Buffer.from(literal.slice(2, -1), 'hex');
  }
  if (literal.startsWith("'")) {
    return unescape(literal.slice(1, -1));
  }
  const [, name, inner = ''] = /^(repeat|concat|convert)\((.*)\)$/s.exec(literal) ?? [];
  return callFunction(literal, name, inner);
}

function callFunction(literal: string, name: string | undefined, inner: string): Buffer | null {
  switch (name) {
    case 'repeat': {
      const [, text = '', times] = /^'(.*)',(\d+)$/s.exec(inner) ?? [];
      return Buffer.from(text.repeat(Number(times)));
    }
    case 'concat':
      return Buffer.concat(inner.split(', ').map((part) => evaluateLiteral(part) ?? Buffer.alloc(0)));
    case 'convert':
      return evaluateLiteral(inner.replace(' using utf8mb4', ''));
    default:
      throw new Error(`no rule for the literal ${literal}`);
  }
}

function unescape(text: string): Buffer {
  const bytes = Buffer.from(text);
  const stored: number[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    if (byte !== 0x5c) {
      stored.push(byte);
      continue;
    }
    i++;
    const escaped = bytes[i] ?? 0;
    stored.push(ESCAPES[String.fromCharCode(escaped)] ?? escaped);
  }
  return Buffer.from(stored);
}
