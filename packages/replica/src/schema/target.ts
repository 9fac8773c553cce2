import type { Field } from '@afterimage/change-events';
import type { StoredColumn } from '../control/tables.js';
import { StreamHalted } from '../errors.js';
import { historyColumnNames, mirrorColumnNames } from '../names.js';
import type { TableSettings } from '../settings.js';
import { type ColumnMapping, MariaTypeError, PostgresTypeError, mapColumn } from '../types/index.js';

/** What the mirror should look like for a list of source fields under the settings of now. */
export interface TargetSchema {
  readonly columns: readonly TargetColumn[];
  /** Mirror names of the key columns; null = rows are matched whole. */
  readonly key: readonly string[] | null;
}

export type TargetColumn = Pick<
  StoredColumn,
  'name' | 'mirror' | 'history' | 'mappedType' | 'sourceType' | 'unreliable'
> & {
  readonly mapping: ColumnMapping;
};

/** Throws StreamHalted when the configured key names a column that is not there, or a configured type is none. */
export function targetSchema(fields: readonly Field[], settings: TableSettings): TargetSchema {
  const mirrorNames = mirrorColumnNames(fields.map((field) => field.name));
  const historyNames = historyColumnNames(mirrorNames);
  const columns = fields.map((field, i): TargetColumn => {
    const mapping = mapConfigured(field, settings);
    return {
      name: field.name,
      mirror: mirrorNames[i] ?? field.name,
      history: historyNames[i] ?? field.name,
      mappedType: mapping.postgresType,
      sourceType: mapping.sourceType,
      unreliable: mapping.unreliable,
      mapping,
    };
  });
  return { columns, key: settings.key === null ? null : keyColumns(columns, settings.key) };
}

function mapConfigured(field: Field, settings: TableSettings): ColumnMapping {
  const knowledge = Object.hasOwn(settings.columns, field.name) ? settings.columns[field.name] : undefined;
  try {
    return mapColumn(field, knowledge, settings.types);
  } catch (error) {
    if (!(error instanceof MariaTypeError || error instanceof PostgresTypeError)) throw error;
    const advice = `Correct column ${JSON.stringify(field.name)} in the configuration and restart the writers.`;
    throw new StreamHalted('COLUMN_TYPE_INVALID', `${error.message}. ${advice}`, error);
  }
}

function keyColumns(columns: readonly TargetColumn[], key: readonly string[]): string[] {
  return key.map((name) => {
    const column = columns.find((candidate) => candidate.name === name);
    if (column !== undefined) return column.mirror;
    const present = columns.map((candidate) => candidate.name).join(', ');
    throw new StreamHalted(
      'KEY_COLUMN_MISSING',
      `key column ${JSON.stringify(name)} is not in the table; it has: ${present}. Set "key" for this table in the configuration and restart the writers.`,
    );
  });
}
