import type { RowValue } from '@afterimage/cdc-protocol';

/** A value in the source's own model. Decimals are whole cents, wide integers are texts. */
export type Value = string | number | null;

/** One MariaDB type: what MaxScale sends for a value, and what PostgreSQL must show for it. */
export interface ColumnType {
  /** The type word that the schema line gives. */
  readonly realType: string;
  readonly unsigned?: boolean;
  /** The full type, for the configuration, where the stream does not tell it. */
  readonly fullType?: string;
  toWire(value: string | number): RowValue;
  toText(value: string | number): string;
}

const plain = { toWire: (value: string | number): RowValue => value, toText: String };

export const int: ColumnType = { realType: 'int', ...plain };
export const bigint: ColumnType = { realType: 'bigint', ...plain };
export const boolean: ColumnType = { realType: 'tinyint', ...plain };
export const varchar: ColumnType = { realType: 'varchar', ...plain };
export const text: ColumnType = { realType: 'text', ...plain };
export const double: ColumnType = { realType: 'double', ...plain };
/** `YYYY-MM-DD HH:MM:SS` */
export const datetime: ColumnType = { realType: 'datetime', ...plain };
/** The same, in the zone of MaxScale, which is UTC here. */
export const timestamp: ColumnType = {
  realType: 'timestamp_',
  toWire: (value) => value,
  toText: (value) => `${value}+00`,
};

/** Above 2^63 MaxScale sends it negative. */
export const unsignedBigint: ColumnType = {
  realType: 'bigint',
  unsigned: true,
  toWire: (value) => BigInt(value),
  toText: String,
};

/** Whole cents here, a double on the wire, exact again in PostgreSQL. */
export const money: ColumnType = {
  realType: 'decimal',
  fullType: 'decimal(10,2)',
  toWire: (value) => Number(value) / 100,
  toText: (value) => (Number(value) / 100).toFixed(2),
};

/** MaxScale sends the index in hexadecimal. */
export function enumOf(...labels: readonly string[]): ColumnType {
  return {
    realType: 'enum',
    fullType: `enum(${labels.map((label) => `'${label}'`).join(',')})`,
    toWire: (value) => (labels.indexOf(String(value)) + 1).toString(16).toUpperCase().padStart(2, '0'),
    toText: String,
  };
}

/** A column of the model. Its id stays when it is renamed, and is new when it is dropped and added again. */
export interface ModelColumn {
  readonly id: string;
  readonly name: string;
  readonly type: ColumnType;
}

export function column(name: string, type: ColumnType): ModelColumn {
  return { id: name, name, type };
}
