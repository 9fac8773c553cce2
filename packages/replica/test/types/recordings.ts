import { readFileSync } from 'node:fs';
import type { Field } from '@afterimage/change-events';

const FOLDER = new URL('../../../../test/fixtures/transcripts/', import.meta.url);

interface Case {
  readonly type: string;
  readonly rows?: readonly (readonly [literal: string, json: string])[];
}

export interface Recording {
  readonly name: string;
  /** Full MariaDB type, as written. */
  readonly type: string;
  readonly field: Field;
  /** Event lines, as received. */
  readonly lines: readonly string[];
  /** The SQL literal that was inserted, per line. */
  readonly literals: readonly string[];
}

interface SchemaLine {
  readonly fields: readonly { name: string; type: readonly string[]; real_type: string; unsigned: boolean }[];
}

/** Every type of a folder of recordings, with what was inserted: row n has the id n, or n plus a multiple of 1000. */
export function readRecordings(folder: '2-types' | '2-types-show-create'): Recording[] {
  const cases = JSON.parse(readFileSync(new URL('2-types/results.json', FOLDER), 'utf8')) as Record<string, Case>;
  return Object.entries(cases).flatMap(([name, { type, rows }]) => {
    if (rows === undefined) {
      return [];
    }
    const received = readFileSync(new URL(`${folder}/${name}.recv.bin`, FOLDER), 'utf8').split('\n');
    const schema = received.find((line) => line.startsWith('{"namespace"'));
    const lines = received.filter((line) => line.startsWith('{"domain"'));
    if (schema === undefined || lines.length === 0) {
      throw new Error(`nothing recorded in ${folder}/${name}`);
    }
    const field = (JSON.parse(schema) as SchemaLine).fields.find(({ name: column }) => column === 'v');
    if (field === undefined) {
      throw new Error(`no column v in ${folder}/${name}`);
    }
    const literals = lines.map(
      (line) => rows[(Number(/"id": (\d+)/.exec(line)?.[1]) % 1000) - 1]?.[0] ?? 'unknown row',
    );
    return {
      name,
      type,
      field: { name: 'v', realType: field.real_type, avroType: field.type[1] ?? '', unsigned: field.unsigned },
      lines,
      literals,
    };
  });
}
