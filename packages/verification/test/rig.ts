import type { Field } from '@afterimage/change-events';
import { type ColumnKnowledge, readTableKnowledge, sourceValue } from '@afterimage/mariadb';
import { createApplier, registerStreams, type StreamRecord, type TableSettings } from '@afterimage/replica';
// @boundaries-ignore the harness that all tests share
import { createDatabase, type TestDatabase } from '../../../test/harness/databases.js';
// @boundaries-ignore the harness that all tests share
import type { TestSource } from '../../../test/harness/mariadb.js';
// @boundaries-ignore batches as a reader cuts them
import { ScriptedStream, testSettings } from '../../replica/test/batches.js';
import type { Sides } from '../src/index.js';

/** A table of MariaDB whose rows have come to PostgreSQL as inserts of its stream. */
export interface Replica {
  readonly database: TestDatabase;
  readonly stream: StreamRecord;
  readonly sides: Sides;
  readonly settings: TableSettings;
  /** Quoted. */
  readonly mirror: string;
  /** Applies the events that are written to it. */
  readonly events: ScriptedStream;
  apply(): Promise<void>;
}

export interface ReplicaOptions {
  readonly table: string;
  /** Columns and keys. */
  readonly definition: string;
  readonly key: readonly string[] | null;
  /** SQL that fills it. */
  readonly fill: readonly string[];
}

export async function createReplica(source: TestSource, options: ReplicaOptions): Promise<Replica> {
  const { table, definition, key, fill } = options;
  await source.connection.query(`DROP TABLE IF EXISTS shop.${table}`);
  await source.connection.query(`CREATE TABLE shop.${table} (${definition})`);
  for (const statement of fill) await source.connection.query(statement);
  const knowledge = await readTableKnowledge(source.pool, 'shop', table);
  if (knowledge === null) throw new Error(`no table ${table}`);
  const database = await createDatabase();
  const [stream] = await registerStreams(database.pool, 'main', [{ database: 'shop', table }]);
  if (stream === undefined) throw new Error('no stream');
  const settings = testSettings({
    mirror: { schema: 'shop', table },
    labels: 'enum',
    key,
    columns: Object.fromEntries(
      knowledge.columns.map(({ streamName, definition: type, type: { kind }, ...rest }) => [
        streamName,
        { type: isJson({ type: { kind }, ...rest }, knowledge.columns) ? 'json' : type },
      ]),
    ),
  });
  const identity = { id: stream.id, source: 'main', database: 'shop', table };
  const events = new ScriptedStream(
    identity,
    knowledge.columns.map((column) => toField(column)),
  );
  const values = knowledge.columns.map((column) => sourceValue(column, 'text', settings.types).read);
  const rows = await source.connection.query<(string | null)[][]>({
    sql: `SELECT ${values.join(', ')} FROM shop.${table}`,
    rowsAsArray: true,
  });
  const applier = createApplier(database.pool, () => settings);
  // Something must come before there is a mirror.
  const inserted = rows.length === 0 ? [knowledge.columns.map(() => '7')] : rows;
  events.transaction(
    ...inserted.map((row) => ['insert', ...row.map((value, i) => toEvent(value, knowledge.columns[i]))] as const),
  );
  if (rows.length === 0) events.transaction(['delete', ...(inserted[0] ?? [])]);
  await applier.apply(events.cut());
  return {
    database,
    stream,
    settings,
    events,
    mirror: `shop.${table}`,
    sides: { source: source.pool, postgres: database.pool, settingsOf: () => settings },
    apply: async () => {
      await applier.apply(events.cut());
    },
  };
}

function isJson(
  column: Pick<ColumnKnowledge, 'name'> & { type: { kind: string } },
  all: readonly ColumnKnowledge[],
): boolean {
  const type = all.find(({ name }) => name === column.name)?.type;
  return type?.kind === 'text' && type.isJson;
}

function toField({ streamName, type }: ColumnKnowledge): Field {
  const realType = type.kind === 'timestamp' ? 'timestamp_' : 'name' in type ? type.name : type.kind;
  const unsigned = 'isUnsigned' in type && type.isUnsigned;
  return { name: streamName, realType, avroType: type.kind === 'decimal' ? 'double' : 'int', unsigned };
}

/** As MaxScale prints it: bytes that are no text as hex, nothing of a bit. */
function toEvent(value: string | null, column: ColumnKnowledge | undefined): string | null {
  if (value === null) return null;
  if (column?.type.kind === 'bit') return '';
  return value;
}
