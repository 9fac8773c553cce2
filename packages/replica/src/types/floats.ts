import type { TypeFamily } from './column-mapping.js';
import { mapEmptyNumber } from './integers.js';

export const floatFamily: TypeFamily = {
  words: ['float', 'float4'],
  notes: [
    {
      mariadb: 'FLOAT, FLOAT(m,d)',
      postgres: 'real',
      arrives: 'number, the float widened to a double: 0.1 as 0.10000000149011612',
      done: 'read as a 4-byte float, which gives the stored bits',
      lost: 'nothing',
      configure: '',
    },
  ],
  map: (column) => mapFloat(column.field.avroType === 'double' ? 'double precision' : 'real', column),
};

export const doubleFamily: TypeFamily = {
  words: ['double', 'real', 'float8'],
  notes: [
    {
      mariadb: 'DOUBLE, DOUBLE PRECISION, REAL',
      postgres: 'double precision',
      arrives: 'number with 17 digits',
      done: 'read as a double, which gives the stored bits',
      lost: 'nothing',
      configure: '',
    },
  ],
  map: (column) => mapFloat('double precision', column),
};

function mapFloat(postgresType: string, column: Parameters<TypeFamily['map']>[0]): ReturnType<TypeFamily['map']> {
  if (column.field.avroType === 'string') {
    return mapEmptyNumber(column, postgresType);
  }
  return { postgresType, jsonType: postgresType, value: (ref) => ref };
}
