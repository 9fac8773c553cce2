import { inet4Family, inet6Family, uuidFamily } from './addresses.js';
import { binaryFamily, blobFamily, varbinaryFamily } from './bytes.js';
import type { TypeFamily } from './column-mapping.js';
import { dateFamily, datetimeFamily, timestampFamily, yearFamily } from './dates.js';
import { decimalFamily } from './decimals.js';
import { doubleFamily, floatFamily } from './floats.js';
import { integerFamilies } from './integers.js';
import { enumFamily, setFamily } from './labels.js';
import { bitFamily, geometryFamily, jsonFamily, unknownFamily } from './others.js';
import { textFamily } from './texts.js';
import { timeFamily } from './times.js';

/** The table of types, in the order of docs/type-mapping.md. */
export const typeFamilies: readonly TypeFamily[] = [
  ...integerFamilies,
  decimalFamily,
  floatFamily,
  doubleFamily,
  dateFamily,
  datetimeFamily,
  timestampFamily,
  timeFamily,
  yearFamily,
  textFamily,
  blobFamily,
  binaryFamily,
  varbinaryFamily,
  enumFamily,
  setFamily,
  jsonFamily,
  bitFamily,
  uuidFamily,
  inet6Family,
  inet4Family,
  geometryFamily,
  unknownFamily,
];

const familyOfWord: ReadonlyMap<string, TypeFamily> = new Map(
  typeFamilies.flatMap((family) => family.words.map((word) => [word, family] as const)),
);

/** The family of a type word in any case; the one for unknown types when no other has it. */
export function findFamily(word: string): TypeFamily {
  return familyOfWord.get(word.toLowerCase()) ?? unknownFamily;
}
