import type { ColumnKnowledge, TableKnowledge } from '@afterimage/mariadb';
import {
  type ColumnMapping,
  keyOfKnowledge,
  knowColumn,
  mapColumn,
  MariaTypeError,
  mirrorColumnNames,
  PostgresTypeError,
} from '@afterimage/replica';
import type { ConfiguredTable, SourceConfig } from '@afterimage/service';
import { type Check, failure, notice, ok, type Outcome, warning } from '../finding.js';
import { listSome } from '../texts.js';

/** The columns of one table, as MariaDB has them, and what the mapping makes of them. */
export interface ColumnSubject {
  readonly config: SourceConfig;
  readonly table: ConfiguredTable;
  readonly knowledge: TableKnowledge;
}

export const columnChecks: readonly Check<ColumnSubject>[] = [
  {
    name: 'column-digit',
    look: ({ knowledge: { columns } }) => {
      const found = columns.filter(({ streamName }) => /^\d/.test(streamName)).map(({ name }) => name);
      if (found.length === 0) return null;
      return failure(
        `the name of ${listSome(found)} begins with a digit: MaxScale makes no file of the table`,
        'ALTER TABLE … CHANGE COLUMN to a name that begins with a letter',
      );
    },
  },
  {
    name: 'column-collision',
    look: ({ knowledge: { columns } }) => {
      const owners = new Map<string, ColumnKnowledge[]>();
      for (const column of columns) {
        const name = column.streamName.toLowerCase();
        owners.set(name, [...(owners.get(name) ?? []), column]);
      }
      const meeting = [...owners.values()].filter((group) => group.length > 1);
      return meeting.map((group) =>
        failure(
          `${group.map(({ name }) => name).join(' and ')} have the same name in the stream (${group[0]?.streamName}): MaxScale sends no rows of the table`,
          'ALTER TABLE … CHANGE COLUMN one of them to a name of letters, digits and _ only',
        ),
      );
    },
  },
  {
    name: 'column-names',
    look: ({ knowledge: { columns } }) => {
      const names = columns.map(({ streamName }) => streamName);
      const mirrored = mirrorColumnNames(names);
      const changed = columns.flatMap(({ name }, index) =>
        name === mirrored[index] ? [] : [`${name} → ${mirrored[index]}`],
      );
      return changed.length === 0 ? null : notice(`columns have other names in the mirror: ${listSome(changed)}`, null);
    },
  },
  { name: 'column-values', look: checkValues },
  { name: 'key-values', look: checkKeyValues },
  {
    name: 'column-types',
    look: (subject) => mapColumns(subject).flatMap((mapped) => checkType(subject, mapped)),
  },
];

interface MappedColumn {
  readonly column: ColumnKnowledge;
  readonly mapping: ColumnMapping | null;
  readonly problem: string | null;
}

function checkType(subject: ColumnSubject, { column, mapping, problem }: MappedColumn): Outcome[] {
  if (problem !== null) {
    return [failure(`${column.name}: ${problem}`, 'correct its `type` or `postgres` in the configuration')];
  }
  const told = isConfigured(subject, column) ? (mapping?.notice ?? null) : null;
  return told === null ? [] : [notice(`${column.name}: ${told}`, null)];
}

/** With the mapping of the writers, so that the two never say different things. */
function mapColumns({ config, table, knowledge }: ColumnSubject): MappedColumn[] {
  return knowledge.columns.map((column) => {
    const configured = table.settings.columns?.[column.streamName];
    try {
      const mapping = mapColumn(fieldOf(column), knowColumn(configured, column), {
        timeZone: config.timeZone,
        zeroDates: 'null',
        nulCharacters: 'remove',
      });
      return { column, mapping, problem: null };
    } catch (error) {
      if (!(error instanceof MariaTypeError || error instanceof PostgresTypeError)) throw error;
      // A type of MariaDB's that is not known here is no mistake of the configuration.
      return { column, mapping: null, problem: configured === undefined ? null : error.message };
    }
  });
}

function isConfigured({ table }: ColumnSubject, { streamName }: ColumnKnowledge): boolean {
  return table.settings.columns?.[streamName] !== undefined;
}

/** Where the stream's word is not the one of the definition. */
function realTypeOf(type: ColumnKnowledge['type']): string | undefined {
  if (type.kind === 'timestamp') return 'timestamp_';
  return type.kind === 'text' && type.isJson ? 'json' : undefined;
}

/** As the stream would announce it, as far as the mapping looks. */
function fieldOf({ streamName, definition, type }: ColumnKnowledge) {
  const [word = ''] = /^\w+/.exec(definition) ?? [];
  const isUnsigned = 'isUnsigned' in type && type.isUnsigned;
  return {
    name: streamName,
    realType: realTypeOf(type) ?? word,
    // A column that was declared JSON, as it comes from MaxScale.
    avroType: type.kind === 'text' && type.isJson ? 'string' : '',
    unsigned: isUnsigned,
  };
}

/** Columns with the same reason share a line. */
function checkValues(subject: ColumnSubject): Outcome[] {
  const key = subject.table.settings.key ?? keyOfKnowledge(subject.knowledge);
  const outcomes = new Map<string, { readonly outcome: Outcome; readonly columns: string[] }>();
  for (const mapped of mapColumns(subject)) {
    const outcome = judgeValues(subject, mapped, key);
    if (outcome === null) continue;
    const known = outcomes.get(outcome.text);
    if (known === undefined) outcomes.set(outcome.text, { outcome, columns: [mapped.column.name] });
    else known.columns.push(mapped.column.name);
  }
  if (outcomes.size === 0) return [ok('the stream carries every column exactly')];
  return [...outcomes.values()].map(({ outcome, columns }) => ({ ...outcome, detail: listSome(columns) }));
}

/** Where rows have a key, writers ask MariaDB for what the stream loses. */
function judgeValues(
  { table: { database, table, settings } }: ColumnSubject,
  { column, mapping }: MappedColumn,
  key: readonly string[] | null,
): Outcome | null {
  const reason = reasonOf(column, mapping);
  if (reason === null) return null;
  const repair = `afterimage verify ${database}.${table} finds rows that differ, afterimage repair mends them`;
  const tell = isLost(column) ? warning : notice;
  if (key === null) return tell(reason, `a key, so that values can be looked up; ${repair}`);
  const isBending = mapping !== null && mapping.unreliable !== null;
  const isWanted = settings.columns?.[column.streamName]?.lookup ?? isBending;
  if (!isWanted || key.includes(column.streamName)) return tell(reason, repair);
  return notice(`${reason}: looked up in MariaDB by key instead, as the value is then`);
}

/** Whether ordinary values are lost; of other types only rare ones are, or cannot be told from others. */
function isLost({ type }: ColumnKnowledge): boolean {
  switch (type.kind) {
    case 'bit':
    case 'decimal':
    case 'inet4':
    case 'inet6':
    case 'other':
    case 'uuid':
      return true;
    case 'text':
      return type.isJson || type.isCompressed;
    case 'binary':
      return type.isCompressed;
    default:
      return false;
  }
}

function reasonOf({ type, definition }: ColumnKnowledge, mapping: ColumnMapping | null): string | null {
  switch (type.kind) {
    // MaxScale does not survive it: a finding of its own.
    case 'geometry':
    // All labels are known here.
    case 'enum':
    case 'set':
      return null;
    case 'other':
      return `the stream's form of ${definition} is not known`;
    default:
  }
  if (type.kind === 'text' && type.isJson)
    return 'JSON values arrive empty, unless the column was declared as longtext';
  const isCompressed = (type.kind === 'text' || type.kind === 'binary') && type.isCompressed;
  return isCompressed ? 'compressed values arrive as NULL' : (mapping?.unreliable ?? null);
}

/** Rows that differ at the source must differ in the stream, or they become one in the mirror. */
function checkKeyValues(subject: ColumnSubject): Outcome[] {
  const { table } = subject;
  // A key that MariaDB has is only used where it is exact.
  const key = table.settings.key ?? [];
  const bent = mapColumns(subject).filter(
    ({ column, mapping }) => key.includes(column.streamName) && isBent(column, mapping),
  );
  return bent.map(({ column, mapping }) => {
    const reason = reasonOf(column, mapping) ?? 'floating-point numbers have no certain text';
    const text = `key column ${column.name}: ${reason}`;
    return column.type.kind === 'bit' || (column.type.kind === 'text' && column.type.isJson)
      ? failure(`${text}; all rows become one in the mirror`, 'ALTER TABLE … MODIFY the column to bigint or varchar')
      : warning(`${text}; rows may meet or be missed in the mirror`, 'use a key of integers or text');
  });
}

function isBent(column: ColumnKnowledge, mapping: ColumnMapping | null): boolean {
  return reasonOf(column, mapping) !== null || mapping?.identity === false || column.definition.startsWith('float');
}
