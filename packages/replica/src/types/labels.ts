import type { SourceColumn, TypeFamily } from './column-mapping.js';
import { quoteLiteral } from '../names.js';

export const enumFamily: TypeFamily = {
  words: ['enum'],
  notes: [
    {
      mariadb: 'ENUM',
      postgres: 'text with a CHECK, or an enum type with `labels: enum`; integer while the labels are unknown',
      arrives: "upper-case hex of the index, low byte first: 'a' as `01`, the 300th as `2C01`",
      done: "known: the label; unknown: the index as a number; the error value is `''` or 0",
      lost: 'an index beyond the configured labels: NULL, counted',
      configure: "`type: enum('a','b')`, updated before labels are added at the source",
    },
  ],
  map: (column) => {
    const index = (ref: string) => `(${readLittleEndian(ref, 4)})::bit(32)::integer`;
    const labels = storableLabels(column);
    if (labels === null) {
      return {
        postgresType: 'integer',
        jsonType: 'text',
        value: index,
        notice: "the stream sends an ENUM's index; configure its type, enum('a','b'), to have labels",
      };
    }
    const list = `ARRAY[${['', ...labels].map(quoteLiteral).join(',')}]::text[]`;
    return {
      postgresType: 'text',
      jsonType: 'text',
      value: (ref) => `(${list})[${index(ref)} + 1]`,
      lost: (ref) => `${index(ref)} > ${labels.length}`,
      unreliable: 'a label that the configured ENUM lacks becomes NULL',
    };
  },
};

export const setFamily: TypeFamily = {
  words: ['set'],
  notes: [
    {
      mariadb: 'SET',
      postgres: 'text with a CHECK; numeric(20,0) while the labels are unknown',
      arrives: "upper-case hex of the bitmap, low byte first: 'a,b' as `03`",
      done: 'known: the labels with commas between; unknown: the bitmap as a number',
      lost: 'a bit beyond the configured labels: NULL, counted',
      configure: "`type: set('a','b')`, updated before labels are added at the source",
    },
  ],
  map: (column) => {
    const signed = (ref: string) => `(${readLittleEndian(ref, 8)})::bit(64)::bigint`;
    const labels = storableLabels(column);
    if (labels === null) {
      return {
        postgresType: 'numeric(20,0)',
        jsonType: 'text',
        value: (ref) =>
          `(SELECT CASE WHEN t.n < 0 THEN t.n + 18446744073709551616 ELSE t.n END FROM (SELECT ${signed(ref)}::numeric AS n) t)`,
        notice: "the stream sends a SET's bitmap; configure its type, set('a','b'), to have labels",
      };
    }
    // Shifting a bigint right keeps its sign, so a bit above the last label always leaves something.
    const unknownBits = (ref: string) => (labels.length === 64 ? 'false' : `${signed(ref)} >> ${labels.length} <> 0`);
    const list = `unnest(ARRAY[${labels.map(quoteLiteral).join(',')}]::text[]) WITH ORDINALITY l(label, place)`;
    return {
      postgresType: 'text',
      jsonType: 'text',
      value: (ref) =>
        `CASE WHEN ${ref} IS NULL OR ${unknownBits(ref)} THEN NULL ELSE (SELECT coalesce(string_agg(l.label, ',' ORDER BY l.place), '') ` +
        `FROM (SELECT ${signed(ref)} AS n) t, ${list} WHERE (t.n >> (l.place - 1)::int) & 1 = 1) END`,
      lost: (ref) => `(${unknownBits(ref)})`,
      unreliable: 'a value with a label that the configured SET lacks becomes NULL',
    };
  },
};

/** Text that casts to bit(8 × bytes): the hex digits, high byte first. */
function readLittleEndian(ref: string, bytes: number): string {
  const digits = bytes * 2;
  const pairs = Array.from({ length: bytes }, (_, i) => `substr(${ref}, ${digits - 1 - 2 * i}, 2)`);
  return `'x' || lpad(${pairs.join(' || ')}, ${digits}, '0')`;
}

/** The labels without the NULs that PostgreSQL cannot hold; null when they are unknown. */
function storableLabels({ known, settings }: SourceColumn): string[] | null {
  const replacement = settings.nulCharacters === 'replace' ? '\uFFFD' : '';
  return known === null ? null : known.labels.map((label) => label.replaceAll('\0', replacement));
}
