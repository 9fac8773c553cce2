import { sql } from 'drizzle-orm';
import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';
import type { Field } from '@afterimage/change-events';
import type { TableKnowledge, TableStorage } from '@afterimage/mariadb';

/** Control tables: the only truth about progress. drizzle-kit turns this file into ../../../../migrations. */
export const control = pgSchema('afterimage');

const moment = (name: string) => timestamp(name, { withTimezone: true });

/**
 * What a history row or a change event did. A repair is no event: its rows stand behind the event whose `stream_ordinal` they
 * have, in the order of `event_number`, which is above every event's.
 */
export const operation = control.enum('operation', [
  'insert',
  'update_before',
  'update_after',
  'delete',
  'read',
  'truncate',
  'repair_before',
  'repair_after',
]);

/** The active reader of each source; `epoch` counts take-overs. The lock itself is an advisory lock. */
export const readers = control.table('readers', {
  source: text().primaryKey(),
  epoch: bigint({ mode: 'bigint' })
    .notNull()
    .default(sql`0`),
  instance: text().notNull().default(''),
  acquiredAt: moment('acquired_at').notNull().defaultNow(),
});

/**
 * What MariaDB said about a table, and when: one row for each time it said something else. In force is what the stream's
 * schema version names.
 */
export const tableKnowledge = control.table(
  'table_knowledge',
  {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    source: text().notNull(),
    databaseName: text('database_name').notNull(),
    tableName: text('table_name').notNull(),
    knowledge: jsonb().$type<TableKnowledge>().notNull(),
    /** By MariaDB's clock, whose times the events have. */
    firstSeen: moment('first_seen').notNull(),
    lastSeen: moment('last_seen').notNull(),
    /** The table was so from an event above this position on, up to the last; null where MariaDB gave no position. */
    firstPosition: text('first_position'),
    lastPosition: text('last_position'),
    /** When it became so, at the latest, by MariaDB's clock; null where rows come from servers with other clocks. */
    definedAt: moment('defined_at'),
  },
  (t) => [index('table_knowledge_table').on(t.source, t.databaseName, t.tableName, t.id)],
);

/** One row per table of a source. The id names the stream in queues and jobs. */
export const streams = control.table(
  'streams',
  {
    id: uuid().primaryKey().defaultRandom(),
    source: text().notNull(),
    databaseName: text('database_name').notNull(),
    tableName: text('table_name').notNull(),
    partitions: integer().notNull().default(1),
    /** Source names of the columns that choose an event's partition; null with one partition. */
    partitionKey: jsonb('partition_key').$type<string[] | null>(),
    /** The knowledge that holds for what is applied next; null = nothing but the stream and the configuration is known. */
    knowledgeId: bigint('knowledge_id', { mode: 'bigint' }).references(() => tableKnowledge.id),
    /** Writer side: active, degraded (dead letters wait) or halted (needs the operator). */
    state: text().$type<'active' | 'degraded' | 'halted'>().notNull().default('active'),
    stateCode: text('state_code'),
    stateMessage: text('state_message'),
    stateSince: moment('state_since').notNull().defaultNow(),
    /** The partition that halted it. */
    statePartition: integer('state_partition'),
    /** Reader side. */
    readerState: text('reader_state')
      .$type<'idle' | 'connecting' | 'waiting' | 'streaming' | 'retrying' | 'halted'>()
      .notNull()
      .default('idle'),
    readerCode: text('reader_code'),
    readerMessage: text('reader_message'),
    readerSince: moment('reader_since').notNull().defaultNow(),
    createdAt: moment('created_at').notNull().defaultNow(),
  },
  (t) => [unique('streams_source_table').on(t.source, t.databaseName, t.tableName)],
);

/** How far each partition has been applied; written in the transaction that applies. */
export const offsets = control.table(
  'offsets',
  {
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    partition: integer().notNull(),
    /** Number of the division into partitions it belongs to; the same for all partitions of a stream. */
    layout: integer().notNull().default(1),
    /** Canonical text of @afterimage/change-events position; '' before the first event. */
    position: text().notNull().default(''),
    checkpointGtid: text('checkpoint_gtid'),
    fileVersion: integer('file_version'),
    /** Ordinal of the event at `position`. */
    ordinal: bigint({ mode: 'bigint' })
      .notNull()
      .default(sql`0`),
    /** Current schema version; 0 before the first batch. */
    schemaVersion: integer('schema_version').notNull().default(0),
    batches: bigint({ mode: 'bigint' })
      .notNull()
      .default(sql`0`),
    /** Source time of the newest applied event. */
    sourceTime: moment('source_time'),
    appliedAt: moment('applied_at'),
  },
  (t) => [primaryKey({ columns: [t.streamId, t.partition] })],
);

/** A column of a schema version, as it was mapped. */
export interface StoredColumn {
  /** Its name at the source. */
  readonly name: string;
  readonly mirror: string;
  /** Its name in the history segment. */
  readonly history: string;
  /**
   * The column's name in MariaDB by the knowledge of the version; null: not known for certain, absent in versions from before
   * this was kept. The stream's names do not tell, since MaxScale does not see RENAME COLUMN.
   */
  readonly source?: string | null;
  /** Where it is not certain and not the one of the same name: the column's name in MariaDB if it stayed what it was. */
  readonly likely?: string;
  /** Identity through renames: the name it was first seen with and the schema version of that, `name@1`. */
  readonly origin: string;
  readonly postgresType: string;
  /** The type the mapping asked for; `postgresType` is text instead where old values did not fit (widened). */
  readonly mappedType: string;
  /** The MariaDB type it was mapped from, in full where known: `decimal(10,2)`. */
  readonly sourceType: string;
  /** Why its values cannot be trusted, where the stream loses or bends them. */
  readonly unreliable: string | null;
  /** Its values are read from MariaDB when a row changes, because the stream loses or bends them. */
  readonly lookup?: boolean;
  /** What the rows had in it that were there when it was added: PostgreSQL's text; absent = NULL. */
  readonly fill?: string;
  /** Of an ENUM or SET: the mirror has a type of its labels (`enumName`), or leaves them free; absent: text with a CHECK of them. */
  readonly labels?: 'enum' | 'none';
  /** Labels that the type has besides: rows had them when it was made, though MariaDB's list did not any more. */
  readonly kept?: readonly string[];
}

/** An index of a mirror besides its key's, as MariaDB and the configuration ask for it. */
export interface StoredIndex {
  readonly name: string;
  /** What stands behind ON table: `(left("email", 200))`. */
  readonly text: string;
  /** Of a constraint that PostgreSQL holds rows to, which may have been relaxed since, its columns: `("email")`; else null. */
  readonly unique: string | null;
}

export interface SchemaStep {
  readonly kind:
    | 'create'
    | 'add'
    | 'drop'
    | 'rename'
    | 'retype'
    | 'widen'
    | 'reorder'
    | 'rekey'
    | 'recreate'
    | 'constraint'
    | 'comment'
    | 'index'
    | 'relax'
    | 'unchanged';
  readonly column: string | null;
  /** What changed, in words. */
  readonly detail: string;
  /** The statement that was run on the mirror, if any. */
  readonly statement: string | null;
}

/** Every schema a stream has had, in the order they took effect. */
export const schemaVersions = control.table(
  'schema_versions',
  {
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    version: integer().notNull(),
    fingerprint: text().notNull(),
    fields: jsonb().$type<Field[]>().notNull(),
    columns: jsonb().$type<StoredColumn[]>().notNull(),
    /** Mirror names of the key columns; null = rows are matched whole. */
    key: jsonb().$type<string[] | null>(),
    /** Ordinal of the first event under it. */
    firstOrdinal: bigint('first_ordinal', { mode: 'bigint' }).notNull(),
    sourceGtid: text('source_gtid').notNull(),
    fileVersion: integer('file_version').notNull(),
    /** History segment: quoted, schema-qualified. */
    segment: text().notNull(),
    steps: jsonb().$type<SchemaStep[]>().notNull(),
    recreated: boolean().notNull().default(false),
    /** What MariaDB knew about the table under it. */
    knowledgeId: bigint('knowledge_id', { mode: 'bigint' }).references(() => tableKnowledge.id),
    /** Of the mirror, as they were asked for; null in versions of before they were kept. */
    indexes: jsonb().$type<StoredIndex[]>(),
    appliedAt: moment('applied_at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.streamId, t.version] })],
);

/** Events that PostgreSQL refused, raw, with the cause. */
export const deadLetters = control.table(
  'dead_letters',
  {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    partition: integer().notNull(),
    schemaVersion: integer('schema_version').notNull(),
    ordinal: bigint({ mode: 'bigint' }).notNull(),
    /** `domain-server-sequence:event`. */
    position: text().notNull(),
    /** One raw line, or the two of an update joined by "\n". */
    raw: text().notNull(),
    sequenceBases: jsonb('sequence_bases').$type<Record<string, string>>().notNull(),
    sqlstate: text().notNull(),
    message: text().notNull(),
    state: text().$type<'pending' | 'applied' | 'superseded' | 'discarded'>().notNull().default('pending'),
    createdAt: moment('created_at').notNull().defaultNow(),
    resolvedAt: moment('resolved_at'),
  },
  (t) => [
    index('dead_letters_pending')
      .on(t.streamId, t.ordinal)
      .where(sql`state = 'pending'`),
  ],
);

/** Columns whose values the stream loses or bends, with how many such values have passed. */
export const unreliableColumns = control.table(
  'unreliable_columns',
  {
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    columnName: text('column_name').notNull(),
    reason: text().notNull(),
    values: bigint({ mode: 'bigint' })
      .notNull()
      .default(sql`0`),
    firstSeen: moment('first_seen').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.streamId, t.columnName] })],
);

/** Copies of tables as MariaDB had them: the latest of each stream. */
export const snapshots = control.table('snapshots', {
  streamId: uuid('stream_id')
    .primaryKey()
    .references(() => streams.id),
  /** `copying` without a process that holds the stream's snapshot lock: it was interrupted. */
  state: text().$type<'copying' | 'settling' | 'done' | 'failed'>().notNull(),
  /** GTID position of what was copied, as MariaDB writes it; null before it is known. */
  gtid: text(),
  /** As copied so far. */
  rows: bigint({ mode: 'bigint' })
    .notNull()
    .default(sql`0`),
  bytes: bigint({ mode: 'bigint' })
    .notNull()
    .default(sql`0`),
  /** How many rows MariaDB believes the table has. */
  estimatedRows: bigint('estimated_rows', { mode: 'bigint' }),
  /** Of a table that had been streamed: rows of the mirror that were changed or added, and that were removed. */
  written: bigint({ mode: 'bigint' }),
  removed: bigint({ mode: 'bigint' }),
  attempt: integer().notNull().default(1),
  message: text(),
  startedAt: moment('started_at').notNull().defaultNow(),
  updatedAt: moment('updated_at').notNull().defaultNow(),
  finishedAt: moment('finished_at'),
});

/** One run of `afterimage verify` or `repair`. */
export const verificationRuns = control.table('verification_runs', {
  id: uuid().primaryKey().defaultRandom(),
  startedAt: moment('started_at').notNull(),
  finishedAt: moment('finished_at').notNull(),
  tables: integer().notNull(),
  rows: bigint({ mode: 'bigint' }).notNull(),
  /** Missing, extra and different rows, and columns that one side lacks. */
  differences: bigint({ mode: 'bigint' }).notNull(),
  failed: integer().notNull(),
});

/** What a run found in one table. */
export const verifications = control.table(
  'verifications',
  {
    runId: uuid('run_id')
      .notNull()
      .references(() => verificationRuns.id, { onDelete: 'cascade' }),
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    outcome: text().$type<'equal' | 'different' | 'unsettled' | 'failed'>().notNull(),
    message: text(),
    rows: bigint({ mode: 'bigint' }).notNull(),
    missing: bigint({ mode: 'bigint' }).notNull(),
    extra: bigint({ mode: 'bigint' }).notNull(),
    different: bigint({ mode: 'bigint' }).notNull(),
    unsettled: bigint({ mode: 'bigint' }).notNull(),
    truncated: boolean().notNull(),
    /** Rows that were made equal afterwards. */
    repaired: bigint({ mode: 'bigint' }).notNull(),
    /** Different rows by column. */
    columns: jsonb().$type<Record<string, number>>().notNull(),
    findings: jsonb().$type<{ column: string; detail: string }[]>().notNull(),
    /** Some of the differences, with values: as secret as the tables. */
    samples: jsonb().$type<unknown[]>().notNull(),
    startedAt: moment('started_at').notNull(),
    finishedAt: moment('finished_at').notNull(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.streamId] }), index('verifications_stream').on(t.streamId, t.finishedAt)],
);

/** How a table was in MariaDB when the watcher looked last: what changes is compared with it. */
export const sourceStates = control.table('source_states', {
  streamId: uuid('stream_id')
    .primaryKey()
    .references(() => streams.id),
  /** Null while the table is not there. */
  knowledgeId: bigint('knowledge_id', { mode: 'bigint' }).references(() => tableKnowledge.id),
  storage: jsonb().$type<TableStorage | null>(),
  seenAt: moment('seen_at').notNull(),
  /** All that MariaDB had written when the table was first seen so, canonical; null = it is not known. */
  position: text(),
  positionAt: moment('position_at'),
  /** Since when it is known that MaxScale has come there: a stream of the source is beyond it. */
  passedAt: moment('passed_at'),
});

/** Changes at the source that its stream does not tell of, and what was done about each. */
export const detectedChanges = control.table(
  'detected_changes',
  {
    id: bigint({ mode: 'bigint' }).primaryKey().generatedAlwaysAsIdentity(),
    streamId: uuid('stream_id')
      .notNull()
      .references(() => streams.id),
    kind: text().$type<'replaced' | 'gone' | 'filled' | 'modified' | 'renamed' | 'described'>().notNull(),
    detail: text().notNull(),
    policy: text().$type<'adopt' | 'resync' | 'repair' | 'halt' | 'ignore'>().notNull(),
    state: text().$type<'open' | 'done'>().notNull().default('open'),
    /** What was done, or why it could not be done yet. */
    outcome: text(),
    detectedAt: moment('detected_at').notNull().defaultNow(),
    doneAt: moment('done_at'),
  },
  (t) => [
    index('detected_changes_open')
      .on(t.streamId, t.id)
      .where(sql`state = 'open'`),
  ],
);

/** Who waits for a source's MariaDB, which does not answer or refuses. A process that died waiting leaves a row that ends by itself. */
export const sourceWaits = control.table(
  'source_waits',
  {
    source: text().notNull(),
    /** `database.table` whose batch waits, `reader` or `watcher`. */
    waiter: text().notNull(),
    message: text().notNull(),
    since: moment('since').notNull(),
    /** It waits no longer where it has not said so again by then. */
    validUntil: moment('valid_until').notNull(),
  },
  (t) => [primaryKey({ columns: [t.source, t.waiter] })],
);
