import type { Column } from '@afterimage/cdc-protocol/testing';

/** Kinds of rows: some 220 bytes a line; 50 columns in 1.3 kB; 5 columns in 10 kB. */
export type Shape = 'small' | 'wide' | 'large';

interface ShapeParts {
  readonly columns: readonly (Column & { readonly avroType: string })[];
  /** The columns of a row as MaxScale prints them, without braces. `b` is what updates change. */
  readonly print: (id: number, b: number) => string;
}

const base = [
  { name: 'id', realType: 'bigint', avroType: 'long' },
  { name: 'a', realType: 'varchar', avroType: 'string' },
  { name: 'b', realType: 'int', avroType: 'int' },
  { name: 'c', realType: 'datetime', avroType: 'string' },
  { name: 'd', realType: 'decimal', avroType: 'double' },
] as const;

function printBase(id: number, b: number): string {
  return `"id": ${id}, "a": "row value ${id}", "b": ${b}, "c": "2024-01-02 03:04:${String(10 + (b % 50))}", "d": ${b % 1000}.5`;
}

/** 45 more columns, of three types in turn. */
const more = Array.from({ length: 45 }, (_, i) => {
  const name = `column_${String(i + 6)}`;
  if (i % 3 === 0) return { name, realType: 'varchar', avroType: 'string' };
  return i % 3 === 1 ? { name, realType: 'int', avroType: 'int' } : { name, realType: 'double', avroType: 'double' };
});

function printMore(b: number): string {
  return more
    .map(({ name, avroType }, i) => {
      if (avroType === 'string') return `"${name}": "value ${b % 1000}"`;
      return avroType === 'int' ? `"${name}": ${b + i}` : `"${name}": ${b}.25`;
    })
    .join(', ');
}

/** Text that compresses about as well as prose does. */
const words = 'afterimage keeps every change that a row has seen and the row itself'.split(' ');
const prose = Array.from({ length: 3000 }, (_, i) => words[(i * i + 7 * i) % words.length]).join(' ');

const shapes: Readonly<Record<Shape, ShapeParts>> = {
  small: { columns: base, print: printBase },
  wide: { columns: [...base, ...more], print: (id, b) => `${printBase(id, b)}, ${printMore(b)}` },
  large: {
    columns: [...base, { name: 'body', realType: 'text', avroType: 'bytes' }],
    print: (id, b) => `${printBase(id, b)}, "body": "${prose.slice(b % 3000, (b % 3000) + 10_000)}"`,
  },
};

export const columnsOf = (shape: Shape): ShapeParts['columns'] => shapes[shape].columns;

export const printRow = (shape: Shape, id: number, b: number): string => shapes[shape].print(id, b);
