import type { MappingDraft, TypeFamily, TypeNote } from './column-mapping.js';
import { quoteLiteral } from '../names.js';
import { toBytes } from './raw-bytes.js';

const ADDRESS: Omit<TypeNote, 'mariadb' | 'postgres'> = {
  arrives: 'the bytes, cut at the first 00; then as text when valid UTF-8, otherwise lower-case hex',
  done: 'read when all bytes are there, or all but a last 00; else NULL, counted',
  lost: 'values with a 00 byte before the last one',
  configure: '',
};

interface AddressForm {
  readonly postgresType: string;
  readonly bytes: number;
  /** The SQL of the value, from that of its hex digits. */
  readonly read: (hex: string) => string;
}

export const uuidFamily = nameFamily('uuid', {
  postgresType: 'uuid',
  bytes: 16,
  read: (hex) => `${hex}::uuid`,
});

export const inet6Family = nameFamily('inet6', {
  postgresType: 'inet',
  bytes: 16,
  read: (hex) => `regexp_replace(${hex}, '(....)(?=.)', ${quoteLiteral('\\1:')}, 'g')::inet`,
});

export const inet4Family = nameFamily('inet4', {
  postgresType: 'inet',
  bytes: 4,
  read: (hex) => `('0.0.0.0'::inet + ('x' || ${hex})::bit(32)::bigint)`,
});

function nameFamily(word: string, form: AddressForm): TypeFamily {
  return {
    words: [word],
    notes: [{ ...ADDRESS, mariadb: word.toUpperCase(), postgres: form.postgresType }],
    map: () => mapAddress(form),
  };
}

function mapAddress({ postgresType, bytes, read }: AddressForm): MappingDraft {
  const isWhole = `octet_length(t.b) IN (${bytes - 1}, ${bytes})`;
  // More characters than the value has bytes: they are hex, the ordinary case.
  const isPlain = (ref: string) => `length(${ref}) = ${2 * bytes}`;
  return {
    postgresType,
    jsonType: 'text',
    value: (ref, nul) =>
      `CASE WHEN ${isPlain(ref)} THEN ${read(ref)} WHEN ${ref} <> '' THEN ` +
      `(SELECT CASE WHEN ${isWhole} THEN ${read(`rpad(encode(t.b, 'hex'), ${2 * bytes}, '0')`)} END ` +
      `FROM (SELECT ${toBytes(ref, nul)} AS b) t) END`,
    lost: (ref) => `(NOT ${isPlain(ref)} AND (SELECT NOT ${isWhole} FROM (SELECT ${toBytes(ref, null)} AS b) t))`,
    unreliable: 'the bytes are cut at the first zero byte; what is not whole becomes NULL',
  };
}
