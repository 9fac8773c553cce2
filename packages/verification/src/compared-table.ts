import { type ColumnKnowledge, quoteSource, type SourceValue, sourceValue } from '@afterimage/mariadb';
import {
  columnsNow,
  type CurrentReplica,
  inTransaction,
  loadCurrent,
  quoteName,
  quoteTable,
  readAndRecord,
  type StreamRecord,
  type TableSettingsProvider,
} from '@afterimage/replica';
import type { Pool } from 'pg';

/** What is asked of MariaDB. */
export interface SourceQueries {
  query<Rows>(sql: string | { readonly sql: string; readonly rowsAsArray: true }, values?: unknown): Promise<Rows>;
}

/** Where both sides of a comparison are. */
export interface Sides {
  /** A pool of `openSourceDatabase`. */
  readonly source: SourceQueries;
  readonly postgres: Pool;
  readonly settingsOf: TableSettingsProvider;
}

/** A column that both sides have. */
export interface ComparedColumn {
  /** As the stream calls it. */
  readonly name: string;
  readonly knowledge: ColumnKnowledge;
  /** Of its values; `isEnum`: the mirror has a type of their labels. */
  readonly postgresType: string;
  readonly isEnum: boolean;
  readonly value: SourceValue;
  /** Quoted names. */
  readonly inSource: string;
  readonly inMirror: string;
}

/** A column that one side lacks. */
export interface ColumnFinding {
  readonly column: string;
  readonly detail: string;
}

/** What is compared: the columns of the schema version in force that MariaDB has, too. */
export interface ComparedTable {
  readonly stream: StreamRecord;
  readonly current: CurrentReplica;
  /** Quoted. */
  readonly sourceTable: string;
  readonly mirrorTable: string;
  readonly columns: readonly ComparedColumn[];
  /** The columns that identify a row, which begin with those by which both servers sort alike; null: whole rows. */
  readonly key: readonly ComparedColumn[] | null;
  readonly findings: readonly ColumnFinding[];
}

/** A table cannot be compared; the message says why and what to do. */
class NotComparable extends Error {
  override readonly name = 'NotComparable';
}

/** Rejects with NotComparable where a side has no such table, or one that shares no key with the other. */
export async function loadComparedTable(sides: Sides, stream: StreamRecord): Promise<ComparedTable> {
  const name = `${stream.database}.${stream.table}`;
  const { settingsOf } = sides;
  const current = await inTransaction(sides.postgres, (client) =>
    loadCurrent(client, { stream, settingsOf, lock: false }),
  );
  const now = await readAndRecord(sides.postgres, sides.source, stream);
  if (now === null) {
    throw new NotComparable(
      `MariaDB has no table ${name}, or its user may not SELECT it; the mirror ${quoteTable(current.names.mirror)} is still there`,
    );
  }
  const there = await readMirrorColumns(sides.postgres, quoteTable(current.names.mirror));
  if (there === null) {
    throw new NotComparable(
      `mirror ${quoteTable(current.names.mirror)} is gone: see afterimage rebuild ${name} --apply`,
    );
  }
  const { fields } = current.version;
  const knowledge = now.table;
  // A column that RENAME COLUMN renamed has its old name in the stream.
  const matched = await columnsNow(sides.postgres, stream, current, now);
  const bySource = new Map(fields.map(({ name: field }, place) => [field, matched[place]]));
  const columns = current.version.columns.flatMap(
    ({ name: column, mirror, postgresType, labels }): ComparedColumn[] => {
      const known = bySource.get(column);
      if (known === undefined || known === null || !there.has(mirror)) return [];
      const value = sourceValue(known, postgresType, current.settings.types);
      const inSource = quoteSource(known.name);
      return [
        {
          name: column,
          knowledge: known,
          postgresType,
          isEnum: labels === 'enum',
          value,
          inSource,
          inMirror: quoteName(mirror),
        },
      ];
    },
  );
  return {
    stream,
    current,
    sourceTable: `${quoteSource(knowledge.database)}.${quoteSource(knowledge.table)}`,
    mirrorTable: quoteTable(current.names.mirror),
    columns,
    key: findKey(current, columns, name),
    findings: findColumns(current, {
      there,
      inSource: bySource,
      unmatched: findUnmatched(knowledge.columns, matched),
    }),
  };
}

async function readMirrorColumns(pool: Pool, mirror: string): Promise<ReadonlySet<string> | null> {
  const { rows } = await pool.query<{ columns: string[] | null }>(
    `SELECT (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = m.id AND attnum > 0 AND NOT attisdropped) AS columns
     FROM to_regclass($1) AS m(id) WHERE m.id IS NOT NULL`,
    [mirror],
  );
  return rows[0] === undefined ? null : new Set(rows[0].columns);
}

function findKey(
  { version }: CurrentReplica,
  columns: readonly ComparedColumn[],
  name: string,
): readonly ComparedColumn[] | null {
  if (version.key === null) {
    if (columns.length === version.columns.length) return null;
    throw new NotComparable(`${name} has no key, and its columns differ in MariaDB and PostgreSQL`);
  }
  return version.key.map((mirror) => {
    const column = columns.find(({ inMirror }) => inMirror === quoteName(mirror));
    if (column !== undefined) return column;
    throw new NotComparable(`key column ${JSON.stringify(mirror)} of ${name} is not in both MariaDB and PostgreSQL`);
  });
}

/** What one of them is that cannot be told is none that the mirror lacks. */
function findUnmatched(
  columns: readonly ColumnKnowledge[],
  matched: readonly (ColumnKnowledge | null | undefined)[],
): ColumnKnowledge[] {
  const names = new Set(matched.map((column) => column?.name));
  return matched.includes(undefined) ? [] : columns.filter(({ name }) => !names.has(name));
}

const gone = 'MariaDB has no such column any more';
const unknown =
  'columns were renamed or moved in MariaDB, and it cannot be told yet which of them this is: the next row that changes tells it';

function findColumns(
  { version }: CurrentReplica,
  {
    there,
    inSource,
    unmatched,
  }: {
    there: ReadonlySet<string>;
    inSource: ReadonlyMap<string, ColumnKnowledge | null | undefined>;
    unmatched: readonly ColumnKnowledge[];
  },
): ColumnFinding[] {
  return [
    ...version.columns
      .filter(({ name }) => (inSource.get(name) ?? null) === null)
      .map(({ name }) => ({ column: name, detail: inSource.get(name) === null ? gone : unknown })),
    ...version.columns
      .filter(({ mirror }) => !there.has(mirror))
      .map(({ name }) => ({ column: name, detail: 'the mirror lacks it: see afterimage rebuild' })),
    ...unmatched.map(({ streamName }) => ({
      column: streamName,
      detail: 'the mirror has no such column: no row has come since it was added',
    })),
  ];
}
