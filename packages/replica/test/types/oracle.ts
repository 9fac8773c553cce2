import { evaluateLiteral } from './sql-literal.js';

/**
 * What PostgreSQL should print for what was inserted into MariaDB, by rules that share nothing with the mapping: they
 * start from the SQL literal, never from what the stream made of it.
 */
export function expectText(type: string, literal: string, labelled: boolean): string | null {
  const word = /^\w+/.exec(type)?.[0] ?? '';
  if (literal === 'NULL') {
    return null;
  }
  const rule = RULES[word];
  if (rule === undefined) {
    throw new Error(`the oracle has no rule for ${type}`);
  }
  return rule(literal, type, labelled);
}

type Rule = (literal: string, type: string, labelled: boolean) => string | null;

const asWritten: Rule = (literal) => literal.replace(/^'|'$/g, '');
const integer: Rule = (literal) => ({ true: '1', false: '0' })[literal] ?? literal;

/** Trailing zeros do not matter: numbers are compared without them. */
const decimal: Rule = (literal) => trimNumber(literal);

export function trimNumber(text: string): string {
  const trimmed = text.includes('.') ? text.replace(/\.?0+$/, '') : text;
  return trimmed === '-0' ? '0' : trimmed;
}

const double: Rule = (literal) => String(Number(literal) + 0);
const float: Rule = (literal) => String(Math.fround(Number(literal)) + 0);

const moment: Rule = (literal) => (/'0000-|-00[ ']/.test(literal) ? null : asWritten(literal, '', true));

const text: Rule = (literal) => (evaluateLiteral(literal) ?? Buffer.alloc(0)).toString('utf8').replaceAll('\0', '');
const bytes: Rule = (literal) => `\\x${(evaluateLiteral(literal) ?? Buffer.alloc(0)).toString('hex')}`;
const paddedBytes: Rule = (literal, type) => {
  const length = Number(/\d+/.exec(type)?.[0]);
  return `\\x${(evaluateLiteral(literal) ?? Buffer.alloc(0)).toString('hex').padEnd(2 * length, '0')}`;
};

const enumerated: Rule = (literal, type, labelled) => {
  const label = literal === '0' ? '' : (asWritten(literal, type, labelled) ?? '');
  return labelled ? label : String(labelsOf(type).indexOf(label) + 1);
};

const bitmap: Rule = (literal, type, labelled) => {
  const value = asWritten(literal, type, labelled) ?? '';
  if (labelled || value === '') {
    return labelled ? value : '0';
  }
  return value
    .split(',')
    .reduce((bits, label) => bits + 2n ** BigInt(labelsOf(type).indexOf(label)), 0n)
    .toString();
};

function labelsOf(type: string): string[] {
  return [...type.matchAll(/'([^']*)'/g)].map(([, label]) => label ?? '');
}

const JSONB: Readonly<Record<string, string>> = {
  "'{}'": '{}',
  '\'[1, 2.5, "x", null, true]\'': '[1, 2.5, "x", null, true]',
  '\'{"a": {"b": "é😀 \\\\"q\\\\" \\\\n"}}\'': '{"a": {"b": "é😀 \\"q\\" \\n"}}',
  "'null'": 'null',
};

const RULES: Readonly<Record<string, Rule>> = {
  tinyint: integer,
  boolean: integer,
  smallint: integer,
  mediumint: integer,
  int: integer,
  integer,
  bigint: integer,
  int1: integer,
  int8: integer,
  middleint: integer,
  year: integer,
  decimal,
  numeric: decimal,
  dec: decimal,
  fixed: decimal,
  float,
  double,
  real: double,
  date: moment,
  datetime: moment,
  timestamp: (literal, type, labelled) => {
    const time = moment(literal, type, labelled);
    return time === null ? null : `${time}+00`;
  },
  time: asWritten,
  char: (literal, type, labelled) => (text(literal, type, labelled) ?? '').replace(/ +$/, ''),
  national: text,
  character: text,
  varchar: text,
  long: text,
  tinytext: text,
  text,
  mediumtext: text,
  longtext: text,
  tinyblob: bytes,
  blob: bytes,
  mediumblob: bytes,
  longblob: bytes,
  varbinary: bytes,
  binary: paddedBytes,
  enum: enumerated,
  set: bitmap,
  bit: (literal, type) => {
    const length = Number(/\d+/.exec(type)?.[0]);
    const digits = literal.startsWith('b') ? literal.slice(2, -1) : BigInt(literal).toString(2);
    return digits.padStart(length, '0');
  },
  json: (literal) => JSONB[literal] ?? 'no rule',
  uuid: asWritten,
  inet6: asWritten,
  inet4: asWritten,
};
