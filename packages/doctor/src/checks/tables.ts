import { quoteSource } from '@afterimage/mariadb';
import type { TableKnowledge } from '@afterimage/mariadb';
import { describeLeftOutKey, keyOfKnowledge } from '@afterimage/replica';
import type { ConfiguredTable, SourceConfig } from '@afterimage/service';
import type { StreamAnswer } from '../facts/cdc.js';
import type { Cascade, TableAccess } from '../facts/mariadb.js';
import type { StreamProgress } from '../facts/progress.js';
import { type Check, failure, notice, ok, type Outcome, warning } from '../finding.js';
import { listSome } from '../texts.js';

/** One configured table, and what each server says of it; undefined where it was not asked or did not answer. */
export interface TableSubject {
  readonly config: SourceConfig;
  readonly table: ConfiguredTable;
  readonly access: TableAccess | undefined;
  readonly knowledge: TableKnowledge | undefined;
  readonly isView: boolean;
  readonly isPartitioned: boolean;
  readonly cascades: readonly Cascade[];
  readonly lowerCaseNames: boolean;
  readonly answer: StreamAnswer | undefined;
  readonly progress: StreamProgress | undefined;
}

const statementOf = ({ table: { database, table } }: TableSubject): string =>
  `ALTER TABLE ${quoteSource(database)}.${quoteSource(table)}`;

const reservedNames = /^(?:domain|server_id|sequence|event_number|timestamp|event_type)$/i;

export const tableChecks: readonly Check<TableSubject>[] = [
  { name: 'table-present', look: checkPresence },
  {
    name: 'table-name',
    look: ({ table: { table } }) =>
      /^[A-Za-z0-9_]+$/.test(table) && !reservedNames.test(table)
        ? ok('its name comes through MaxScale')
        : failure(
            'MaxScale never has a stream of a table with this name (only A-Z a-z 0-9 _, and none of its own field names)',
            'rename the table in MariaDB, or take it out of the configuration',
          ),
  },
  {
    name: 'table-name-case',
    look: ({ table: { table }, lowerCaseNames }) =>
      lowerCaseNames && table !== table.toLowerCase()
        ? warning(
            'MariaDB keeps table names in lower case (lower_case_table_names), and MaxScale compares names exactly',
            `write it as ${table.toLowerCase()} in the configuration`,
          )
        : null,
  },
  {
    name: 'system-versioned',
    look: (subject) =>
      subject.knowledge?.isSystemVersioned === true
        ? failure(
            'it is system-versioned: its rows never come through the stream',
            `${statementOf(subject)} DROP SYSTEM VERSIONING; (history is kept in PostgreSQL), or take it out`,
          )
        : null,
  },
  { name: 'key', look: checkKey },
  {
    name: 'cascades',
    look: ({ cascades, table }) => {
      if (cascades.length === 0) return null;
      const rules = cascades.map(({ parent, rule }) => `${parent} ${rule}`);
      return warning(
        `rows that foreign keys change (${listSome(rules)}) never come through the stream: the mirror keeps the old ones`,
        `make them RESTRICT and let the application delete, or repair after such changes: afterimage repair ${table.database}.${table.table}`,
      );
    },
  },
  {
    name: 'engine',
    look: ({ knowledge }) => {
      const engine = knowledge?.engine ?? 'InnoDB';
      if (/^(?:InnoDB|RocksDB|TokuDB)$/i.test(engine)) return null;
      return notice(
        `its engine ${engine} has no transactions: a row of a statement that failed half-way, or that a restart lost, differs`,
        null,
      );
    },
  },
  {
    name: 'partitioned',
    look: ({ isPartitioned }) =>
      isPartitioned
        ? notice(
            'it is partitioned: rows that TRUNCATE, DROP or EXCHANGE PARTITION remove never leave the mirror',
            null,
          )
        : null,
  },
  { name: 'stream', look: checkStream },
  { name: 'columns-streamed', look: checkColumns },
  {
    name: 'comment-sign',
    look: ({ knowledge }) => {
      const signed = (knowledge?.columns ?? []).filter(
        ({ comment, default: value }) => comment.includes('#') || (value.kind === 'value' && value.text.includes('#')),
      );
      if (signed.length === 0) return null;
      return warning(
        `a # in the comment or default of ${listSome(signed.map(({ name }) => name))}: MaxScale takes what follows for a comment and loses the columns after it when it reads CREATE TABLE`,
        'write comments and defaults of these columns without #',
      );
    },
  },
];

function checkPresence({ access, isView, knowledge, table }: TableSubject): Outcome | null {
  if (isView) {
    return failure('it is a view: only tables have changes', 'name the tables it is made of instead');
  }
  const name = `${quoteSource(table.database)}.${quoteSource(table.table)}`;
  if (access === 'missing') {
    return failure(
      'MariaDB has no such table (names are case-sensitive for MaxScale)',
      'correct the name in the configuration, or take it out',
    );
  }
  if (access === 'denied') {
    return failure(
      'our user may not read it in MariaDB, or there is no such table',
      `GRANT SELECT ON ${name} TO …; or ON ${quoteSource(table.database)}.* for the whole database`,
    );
  }
  return knowledge === undefined ? null : ok('MariaDB has it, and our user may read it');
}

function checkKey(subject: TableSubject): Outcome | null {
  const { knowledge, table } = subject;
  if (!isUsable(subject)) return null;
  const configured = table.settings.key;
  if (knowledge === undefined) {
    if (configured !== undefined) return ok(`key ${configured.join(', ')}, as configured`);
    return notice(
      'no key is known: rows are matched whole, which is slower',
      'key: [id] of the table in the configuration, or sources.<name>.mariadb to learn keys from MariaDB',
    );
  }
  const { key } = knowledge;
  if (key === null && configured === undefined) {
    return warning(
      'it has no primary key and no unique key of NOT NULL columns: rows are matched whole, and cannot be looked up or repaired one by one',
      `${statementOf(subject)} ADD COLUMN id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY`,
    );
  }
  return configured === undefined ? checkOwnKey(subject, knowledge) : checkConfiguredKey(knowledge, configured);
}

/** As it is in MariaDB now, and as it was when the mirror got its last schema version. */
function checkOwnKey({ table, progress }: TableSubject, knowledge: TableKnowledge): Outcome {
  const columns = knowledge.key?.columns ?? [];
  const isBent = keyOfKnowledge(knowledge) === null;
  const leftOut = isBent ? { columns, cause: 'bent' as const } : (progress?.leftOutKey ?? null);
  if (leftOut === null) return ok(`key ${columns.join(', ')}`);
  const { text, fix } = describeLeftOutKey(leftOut, `${table.database}.${table.table}`);
  return leftOut.cause === 'absent' ? notice(text, fix) : warning(text, fix);
}

function checkConfiguredKey({ key, columns, indexes }: TableKnowledge, configured: readonly string[]): Outcome {
  const nameOf = new Map(columns.map(({ name, streamName }) => [name, streamName]));
  const isUnique = indexes.some(
    (index) => index.isUnique && index.parts.every(({ column }) => configured.includes(nameOf.get(column) ?? column)),
  );
  if (isUnique) return ok(`key ${configured.join(', ')}, unique in MariaDB`);
  return failure(
    `the configured key (${configured.join(', ')}) is not unique in MariaDB: rows that share it become one`,
    key === null ? 'leave `key` out' : `key: [${key.columns.map((name) => nameOf.get(name) ?? name).join(', ')}]`,
  );
}

/** What is not there, or may not be read, says nothing more. */
function isUsable({ access, isView }: TableSubject): boolean {
  return !isView && (access === undefined || access === 'readable');
}

function checkStream(subject: TableSubject): Outcome | null {
  const { answer, knowledge, table } = subject;
  if (!isUsable(subject)) return null;
  switch (answer) {
    case undefined:
      return null;
    case 'there':
      return ok('MaxScale has its stream');
    case 'silent':
      return notice('MaxScale did not answer for it in time: its threads may be busy', null);
    case 'broken':
      return failure(
        'MaxScale cannot read its own file of this table: torn by a crash, or a row above block_size',
        'raise block_size; remove the table’s Avro files and let MaxScale convert again from the binary logs',
      );
    case 'none':
      return knowledge === undefined
        ? notice('MaxScale has no stream of it: no row has changed yet, a wrong name, or it is excluded', null)
        : notice(
            'MaxScale has no stream of it yet: it begins with the first row that changes',
            `nothing, if it is quiet; rows that are there already come by: afterimage snapshot ${table.database}.${table.table}`,
          );
  }
}

/** RENAME COLUMN never comes through; other changes come with the first row after them. */
function checkColumns({ knowledge, progress }: TableSubject): Outcome | null {
  if (knowledge === undefined || progress === undefined || progress.columns === null) return null;
  const streamed = progress.columns;
  const now = knowledge.columns.map(({ streamName }) => streamName);
  const gone = streamed.filter((name) => !now.includes(name));
  const fresh = now.filter((name) => !streamed.includes(name));
  if (gone.length + fresh.length === 0) return ok('the stream has the columns of MariaDB');
  const parts = [
    ...(fresh.length === 0 ? [] : [`MariaDB has ${listSome(fresh)}, the stream not`]),
    ...(gone.length === 0 ? [] : [`the stream has ${listSome(gone)}, MariaDB not`]),
  ];
  const text = `columns differ: ${parts.join('; ')}`;
  if (gone.length === 0 || gone.length !== fresh.length) {
    return notice(`${text}: a change comes with the first row after it`, null);
  }
  return warning(
    `${text}: after RENAME COLUMN the stream keeps the old name for ever`,
    'ALTER TABLE … CHANGE COLUMN, which comes through; or RENAME COLUMN back and CHANGE it',
  );
}
