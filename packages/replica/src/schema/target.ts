import type { Field } from '@afterimage/change-events';
import type { ColumnKnowledge as SourceColumn, TableKnowledge } from '@afterimage/mariadb';
import type { StoredColumn, StoredIndex } from '../control/tables.js';
import { StreamHalted } from '../errors.js';
import { historyColumnNames, mirrorColumnNames } from '../names.js';
import { type SchemaVersion, keyNames } from './versions.js';
import type { TableSettings } from '../settings.js';
import { fillOf } from './fill.js';
import { wantedIndexes } from './indexes.js';
import { type LabelForm, chooseLabelForm } from './labels.js';
import { keyOfKnowledge, knowColumn } from './knowledge.js';
import { findOrigins, type Origin, originsOf } from './origins.js';
import {
  type ColumnKnowledge,
  type ColumnMapping,
  MariaTypeError,
  PostgresTypeError,
  mapColumn,
} from '../types/index.js';

/** What the mirror should look like for a list of source fields under the settings of now. */
export interface TargetSchema {
  readonly columns: readonly TargetColumn[];
  /** Mirror names of the key columns; null = rows are matched whole. */
  readonly key: readonly string[] | null;
  /** What the mirror is to have besides its key's. */
  readonly indexes: readonly StoredIndex[];
}

export type TargetColumn = Pick<
  StoredColumn,
  'name' | 'mirror' | 'history' | 'mappedType' | 'sourceType' | 'unreliable' | 'kept'
> & {
  readonly mapping: ColumnMapping;
  /** What MariaDB says of it, where that is known. */
  readonly known: SourceColumn | null;
  /** Whether it is certain that it is this column of MariaDB. */
  readonly isCertain: boolean;
  /** Whether its values are read from MariaDB, because the stream loses or bends them. */
  readonly lookup: boolean;
  /** Whether they would be, if it were certain which column of MariaDB it is. */
  readonly isLeftOut: boolean;
  /** What the rows have in it that are there when it is added; null = NULL. */
  readonly fill: string | null;
  /** What the mirror makes of its labels; null = it has none. */
  readonly labels: LabelForm | null;
};

/** The name in MariaDB of a column of which it is certain which it is; else null. */
export function sourceNameOf({ known, isCertain }: Pick<TargetColumn, 'known' | 'isCertain'>): string | null {
  return isCertain ? (known?.name ?? null) : null;
}

/** The name in MariaDB of a column of which it is not certain, where the stream's is another. */
export function likelyNameOf({
  name,
  known,
  isCertain,
}: Pick<TargetColumn, 'name' | 'known' | 'isCertain'>): string | undefined {
  return isCertain || known === null || known.streamName === name ? undefined : known.name;
}

/** What the names alone say. */
function namesakes(fields: readonly Field[], table: TableKnowledge | null): Origin[] {
  if (table === null) return [];
  return findOrigins(fields, { table, isOfRows: false, isNear: true, before: null, followed: new Map() });
}

export interface TargetOptions {
  /** Rows are matched whole, whatever key is known. */
  readonly isKeyless?: boolean;
  /** The stream has several partitions. */
  readonly isDivided?: boolean;
  /** Of each field. Default: what the names say. */
  readonly origins?: readonly Origin[];
}

/** Throws StreamHalted when the configured key names a column that is not there, or a configured type is none. */
export function targetSchema(
  fields: readonly Field[],
  settings: TableSettings,
  knowledge: TableKnowledge | null,
  { isKeyless = false, isDivided = false, origins = namesakes(fields, knowledge) }: TargetOptions = {},
): TargetSchema {
  const known = origins.map(({ column }) => column ?? undefined);
  const mirrorNames = mirrorColumnNames(fields.map((field, i) => known[i]?.name ?? field.name));
  const historyNames = historyColumnNames(mirrorNames);
  // Rows are found by their key.
  const isCertainOf = (name: string): boolean =>
    origins[fields.findIndex((field) => field.name === name)]?.isCertain === true;
  const key = isKeyless ? null : (settings.key ?? keyInStream(fields, known, knowledge));
  const isKeyCertain = key?.every(isCertainOf) === true;
  const columns = fields.map((field, i): TargetColumn => {
    const source = known[i] ?? null;
    const isCertain = origins[i]?.isCertain === true;
    const mapping = mapKnown(field, source, settings);
    const isAsked = isLookedUp(field, { source, mapping, key, settings });
    const canBeAsked = isCertain && isKeyCertain;
    return {
      name: field.name,
      mirror: mirrorNames[i] ?? field.name,
      history: historyNames[i] ?? field.name,
      mappedType: mapping.postgresType,
      sourceType: mapping.sourceType,
      unreliable: mapping.unreliable,
      mapping,
      known: source,
      isCertain,
      lookup: isAsked && canBeAsked,
      isLeftOut: isAsked && !canBeAsked,
      fill: fillOf(source, settings.types),
      labels: chooseLabelForm(mapping, {
        wanted: settings.labels,
        isChosen: configuredColumn(field, settings)?.postgres !== undefined,
      }),
    };
  });
  const target = { columns, key: key === null ? null : keyColumns(columns, key) };
  return { ...target, indexes: wantedIndexes({ settings, target, knowledge, isDivided }) };
}

/** What a version's mirror looks like: under the knowledge and the key of then. */
export function targetOf(version: SchemaVersion, settings: TableSettings): TargetSchema {
  const { columns, indexes } = targetSchema(
    version.fields,
    { ...settings, key: keyNames(version) },
    version.knowledge?.table ?? null,
    { isKeyless: version.key === null, origins: originsOf(version) },
  );
  return { columns, key: version.key, indexes };
}

/**
 * Whether the version in force went without the key that this knowledge gives, because rows of its mirror did not have it:
 * that is not tried again with every batch.
 */
export function isKeyLeftOut(
  version: SchemaVersion | null,
  { fingerprint, knowledge, settings }: Pick<SchemaVersion, 'fingerprint' | 'knowledge'> & { settings: TableSettings },
): boolean {
  if (version === null || knowledge === null || settings.key !== null) return false;
  return version.key === null && version.fingerprint === fingerprint && version.knowledge?.id === knowledge.id;
}

/** MariaDB's key by the names that the stream has, when the rows that arrive have all of it. */
function keyInStream(
  fields: readonly Field[],
  known: readonly (SourceColumn | undefined)[],
  knowledge: TableKnowledge | null,
): string[] | null {
  const key = knowledge === null ? null : keyOfKnowledge(knowledge);
  const parts = key?.map((name) => fields.find((_, i) => known[i]?.streamName === name)?.name) ?? null;
  return parts?.every((name) => name !== undefined) === true ? parts : null;
}

function mapKnown(field: Field, source: SourceColumn | null, settings: TableSettings): ColumnMapping {
  const configured = configuredColumn(field, settings);
  const column = knowColumn(configured, source ?? undefined);
  const isFromSource = configured?.type === undefined && source !== null;
  try {
    const mapping = mapColumn(field, column, settings.types);
    // What MariaDB says of now may not be what these rows were written under: nobody has to mend that.
    return isFromSource ? { ...mapping, notice: null } : mapping;
  } catch (error) {
    if (error instanceof MariaTypeError && isFromSource) return mapKnown(field, null, settings);
    if (!(error instanceof MariaTypeError || error instanceof PostgresTypeError)) throw error;
    const advice = `Correct column ${JSON.stringify(field.name)} in the configuration and restart the writers.`;
    throw new StreamHalted('COLUMN_TYPE_INVALID', `${error.message}. ${advice}`, error);
  }
}

function configuredColumn({ name }: Field, { columns }: TableSettings): ColumnKnowledge | undefined {
  return Object.hasOwn(columns, name) ? columns[name] : undefined;
}

interface LookupCase {
  readonly source: SourceColumn | null;
  readonly mapping: ColumnMapping;
  readonly key: readonly string[] | null;
  readonly settings: TableSettings;
}

/** A row is found by its key, so a part of that cannot be looked up itself. Labels that are not known are asked for anew. */
function isLookedUp(field: Field, { source, mapping, key, settings }: LookupCase): boolean {
  if (!settings.hasSource || source === null || key === null || key.includes(field.name)) return false;
  const isLabelled = source.type.kind === 'enum' || source.type.kind === 'set';
  return configuredColumn(field, settings)?.lookup ?? (mapping.unreliable !== null && !isLabelled);
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
