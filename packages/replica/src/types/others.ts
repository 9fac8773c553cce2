import type { TypeFamily } from './column-mapping.js';
import { storeText } from './texts.js';

export const bitFamily: TypeFamily = {
  words: ['bit'],
  notes: [
    {
      mariadb: 'BIT(n)',
      postgres: 'bit(n), or bit varying while n is unknown',
      arrives: 'always `""`',
      done: 'NULL, counted',
      lost: 'the value',
      configure: 'use TINYINT … BIGINT UNSIGNED at the source',
    },
  ],
  map: ({ known }) => {
    const postgresType = known === null ? 'bit varying' : `bit(${known.args[0] ?? 1})`;
    return {
      postgresType,
      jsonType: 'text',
      value: () => `NULL::${postgresType}`,
      lost: (ref) => `${ref} IS NOT NULL`,
      unreliable: 'MaxScale sends an empty string for every BIT',
    };
  },
};

export const jsonFamily: TypeFamily = {
  words: ['json'],
  notes: [
    {
      mariadb: 'JSON (written so in the DDL)',
      postgres: 'jsonb',
      arrives: 'always `""`',
      done: 'NULL, counted',
      lost: 'the value',
      configure: 'declare it LONGTEXT CHECK (json_valid(…)), which is what MariaDB makes of JSON',
    },
    {
      mariadb: 'JSON (table older than the MaxScale service), LONGTEXT',
      postgres: 'text',
      arrives: 'text, under the name longtext',
      done: 'taken as it is',
      lost: 'nothing',
      configure: '`type: json` makes it jsonb',
    },
  ],
  map: (column) => {
    const lossy = column.field.avroType === 'string';
    return {
      postgresType: 'jsonb',
      jsonType: 'text',
      value: (ref, nul) => `nullif(${storeText(ref, nul, column.settings)}, '')::jsonb`,
      ...(lossy && {
        lost: (ref: string) => `${ref} = ''`,
        unreliable: 'MaxScale sends an empty string for every column declared JSON; declare it LONGTEXT',
      }),
    };
  },
};

export const geometryFamily: TypeFamily = {
  words: [
    'geometry',
    'point',
    'linestring',
    'polygon',
    'multipoint',
    'multilinestring',
    'multipolygon',
    'geometrycollection',
  ],
  notes: [
    {
      mariadb: 'GEOMETRY, POINT, LINESTRING, POLYGON, …',
      postgres: 'text',
      arrives: 'nothing: MaxScale 24.02 aborts on such a table',
      done: 'whatever arrives is kept as text',
      lost: 'the value',
      configure: 'exclude the table in the MaxScale service',
    },
  ],
  map: (column) => ({
    postgresType: 'text',
    jsonType: 'text',
    value: (ref, nul) => storeText(ref, nul, column.settings),
    unreliable: 'MaxScale does not support geometry columns',
  }),
};

/** What no other family knows. */
export const unknownFamily: TypeFamily = {
  words: [],
  notes: [
    {
      mariadb: 'any other type word',
      postgres: 'text',
      arrives: 'unknown',
      done: 'whatever arrives is kept as text',
      lost: 'unknown',
      configure: '`type:` with the type it is a synonym of',
    },
  ],
  map: (column) => ({
    postgresType: 'text',
    jsonType: 'text',
    value: (ref, nul) => storeText(ref, nul, column.settings),
    unreliable: `unknown type word ${JSON.stringify(column.field.realType)}: values are kept as they arrive`,
  }),
};
