import { readFile, readdir } from 'node:fs/promises';
import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { bigint, type ColumnType, double, int, type ModelColumn, type Value, varchar } from './columns.js';
import { type ModelOperation, ModelTable } from './source-model.js';

const folder = new URL('../../fixtures/', import.meta.url);

/** What a real MaxScale 24.02.4 sent for these tables, with the key that each had in MariaDB. */
export const recordedKeys: Readonly<Record<string, readonly string[] | null>> = {
  'ddl.add_first': ['id'],
  'ddl.alter_trx': ['id'],
  'ddl.drop_col': ['id'],
  'dml.comp_pk': ['a', 'b'],
  'dml.nopk': null,
  'dml.repl': ['id'],
  'dml.upd_pk': ['id'],
};

/** The recorded types; the recordings of the demo hold no others. */
const types: Readonly<Record<string, ColumnType>> = { int, bigint, double, varchar };

interface SchemaLine {
  readonly fields: readonly { readonly name: string; readonly real_type?: string }[];
}

interface RowLine {
  readonly domain: number;
  readonly server_id: number;
  readonly sequence: number;
  readonly event_number: number;
  readonly timestamp: number;
  readonly event_type: ModelOperation;
  readonly [column: string]: Value;
}

/**
 * Makes the fake MaxScale serve the recorded tables byte for byte, and reads the same bytes into models: with
 * JSON.parse, line by line, and none of the pipeline's code.
 */
export async function replayRecordings(maxscale: FakeMaxScale): Promise<ModelTable[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.recv.bin')).sort();
  return Promise.all(
    files.map(async (file) => {
      const name = file.slice(0, -'.recv.bin'.length);
      const [database = '', table = ''] = name.split('.');
      const received = await readFile(new URL(file, folder));
      maxscale.table(database, table).load(received);
      const model = new ModelTable({ database, table, columns: [], key: recordedKeys[name] ?? null });
      for (const line of received.toString('utf8').split('\n')) readLine(model, line);
      return model;
    }),
  );
}

function readLine(model: ModelTable, line: string): void {
  if (!line.startsWith('{')) return;
  const content = JSON.parse(line) as SchemaLine | RowLine;
  if (Array.isArray(content['fields'])) {
    model.alter(continueColumns(model, content as SchemaLine));
    return;
  }
  const row = content as RowLine;
  const values = Object.fromEntries(model.columns.map(({ id, name }) => [id, row[name] ?? null]));
  model.apply({
    gtid: `${row.domain}-${row.server_id}-${row.sequence}`,
    eventNumber: row.event_number,
    operation: row.event_type,
    timestamp: row.timestamp,
    row: values,
  });
}

/** A column that was there under its name goes on; any other is new, also when its name was in use before. */
function continueColumns(model: ModelTable, { fields }: SchemaLine): ModelColumn[] {
  return fields.slice(6).map(({ name, real_type: realType = '' }) => {
    const type = types[realType];
    if (type === undefined)
      throw new Error(`the recording of ${model.database}.${model.table} holds the type ${realType}`);
    const known = model.columns.find((each) => each.name === name);
    return known === undefined
      ? { id: model.key?.includes(name) === true ? name : `${name}@${model.eventCount}`, name, type }
      : { ...known, type };
  });
}
