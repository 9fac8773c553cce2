import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { type OracleStream, readRecordedStream } from '../oracle/recorded-stream.js';

/** What a real MaxScale sent on one connection. */
export interface Recording {
  /** `folder/case`, as in test/fixtures/transcripts. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly expected: OracleStream;
  /** Columns that identify a row, for the configuration; null = rows are matched whole. */
  readonly key: readonly string[] | null;
}

export type Topic = '2-types' | '2-types-show-create' | '3-dml' | '4-ddl' | '5-resume' | '6-ops' | '7-extra';

const transcripts = new URL('../fixtures/transcripts/', import.meta.url);
const suffix = '.recv.bin';

/** Keys of the tables that are not identified by `id`. */
const keys: Readonly<Record<string, readonly string[] | null>> = {
  'dml.nopk': null,
  'dml.comp_pk': ['b', 'a'],
  'dml.MixedCase': ['Id'],
  'dml.reserved2': ['domain_'],
  'dml.dupsan': null,
  // Created anew with other columns halfway: no key fits both.
  'ddl.drop_create_diff': null,
  // Without a primary key for a while.
  'ddl.drop_pk': null,
  'ddl.add_pk': null,
};

/** The recordings of some topics that hold a table's stream; of those with equal bytes, the first. */
export async function readRecordings(...topics: readonly Topic[]): Promise<Recording[]> {
  const lists = await Promise.all(topics.map((topic) => readTopic(topic)));
  const distinct = new Map<string, Recording>();
  for (const recording of lists.flat()) {
    const content = createHash('sha256').update(recording.bytes).digest('hex');
    if (!distinct.has(content)) distinct.set(content, recording);
  }
  return [...distinct.values()];
}

async function readTopic(folder: Topic): Promise<Recording[]> {
  const files = (await readdir(new URL(folder, transcripts))).filter((file) => file.endsWith(suffix)).sort();
  const recordings = await Promise.all(
    files.map(async (file): Promise<Recording> => {
      const bytes = await readFile(new URL(`${folder}/${file}`, transcripts));
      const expected = readRecordedStream(bytes);
      const table = `${expected.database}.${expected.table}`;
      const key = Object.hasOwn(keys, table) ? (keys[table] ?? null) : ['id'];
      return { name: `${folder}/${file.slice(0, -suffix.length)}`, bytes, expected, key };
    }),
  );
  return recordings.filter((recording) => recording.expected.table !== '');
}

/**
 * Recordings of the same table cannot come from one source. Gives sources `r0`, `r1`, … each of which has no table
 * twice.
 */
export function spreadOverSources(recordings: readonly Recording[]): Map<string, Recording[]> {
  const sources = new Map<string, Recording[]>();
  const seen = new Map<string, number>();
  for (const recording of recordings) {
    const table = `${recording.expected.database}.${recording.expected.table}`;
    const count = seen.get(table) ?? 0;
    seen.set(table, count + 1);
    const source = `r${count}`;
    sources.set(source, [...(sources.get(source) ?? []), recording]);
  }
  return sources;
}
