export interface Deviation {
  /** What comes out instead of what was inserted; undefined = what was inserted. */
  readonly text?: string | null;
  /** Whether the value is counted as lost or bent. */
  readonly lost: boolean;
}

interface Listed extends Deviation {
  /** Names of recordings. */
  readonly names: readonly string[];
  /** The inserted literals; absent = all but NULL. */
  readonly literals?: readonly string[];
  /** Only for tables made while the service ran (2-types), or only for older ones. */
  readonly folder?: '2-types' | '2-types-show-create';
  readonly known?: 'stream' | 'type';
}

const LOST = { text: null, lost: true } as const;

/** Lost, and seen to be: NULL, and counted. */
const lost: readonly Listed[] = [
  { names: ['decimal_18_0'], literals: ['999999999999999999', '123456789012345678'], ...LOST },
  { names: ['decimal_18_9'], literals: ['999999999.999999999'], ...LOST },
  { names: ['decimal_20_4'], literals: ['9999999999999999.9999', '-9999999999999999.9999'], ...LOST },
  { names: ['decimal_20_10', 'decimal_30_0', 'decimal_38_18', 'decimal_65_30'], known: 'type', ...LOST },
  { names: ['decimal_30_0'], literals: ['123456789012345678901234567890', '999999999999999999999999999999'], ...LOST },
  { names: ['decimal_38_18'], literals: ['12345678901234567890.123456789012345678'], ...LOST },
  {
    names: ['decimal_65_30'],
    literals: [
      '12345678901234567890123456789012345.123456789012345678901234567890',
      '99999999999999999999999999999999999.999999999999999999999999999999',
    ],
    ...LOST,
  },
  { names: ['bit_1', 'bit_7', 'bit_8', 'bit_64'], ...LOST },
  { names: ['int1', 'int8', 'middleint', 'long_varchar', 'json'], folder: '2-types', ...LOST },
  { names: ['varchar_ucs2', 'varchar_utf16'], known: 'type', ...LOST },
  {
    names: ['uuid'],
    literals: ["'00000000-0000-0000-0000-000000000000'", "'123e4567-e89b-12d3-a456-426655440000'"],
    ...LOST,
  },
  { names: ['inet6'], literals: ["'::'", "'::1'", "'2001:db8::ff00:42:8329'", "'::ffff:192.0.2.128'"], ...LOST },
  { names: ['inet4'], literals: ["'0.0.0.0'", "'127.0.0.1'"], ...LOST },
];

/** Kept, right or not, and counted as perhaps bent: both readings are possible. */
const counted: readonly Listed[] = [
  { names: ['time'], literals: ["'838:59:59'"], lost: true },
  { names: ['time'], literals: ["'-838:59:59'"], text: '185:04:05', lost: true },
  {
    names: ['time_2', 'time_4', 'datetime_2', 'datetime_4', 'timestamp_2', 'timestamp_4'],
    known: 'stream',
    lost: true,
  },
  { names: ['time_3'], literals: ["'00:00:00.001'"], known: 'stream', text: '00:00:00.01', lost: true },
  { names: ['varchar_sjis'], literals: ["'日本'"], known: 'type', text: '93fa967b', lost: true },
];

/** The ambiguities: wrong, and nothing in the stream tells. docs/type-mapping.md names each. */
const ambiguous: readonly Listed[] = [
  ...wrongDecimals('decimal_20_10', {
    '1.5': '13.8',
    '-1.5': '-13.8',
    '0.1': '2.56',
    '1234567890.1234567890': '1234567893.16049',
    '-1234567890.1234567890': '-1234567893.16049',
  }),
  ...wrongDecimals('decimal_38_18', { '1.5': '3.147483648', '-1.5': '-3.147483648', '0.1': '0.4294967296' }),
  ...wrongDecimals('decimal_65_30', { '1.5': '1', '-1.5': '-1', '0.1': '0' }),
  // A VARCHAR is cut at its first NUL.
  { names: ['varchar_255_nasty'], literals: ["'nul>\\0<nul'"], text: 'nul>', lost: false },
  // Bytes that are not UTF-8 arrive as hex, or cut, where the character set is unknown.
  {
    names: ['varchar_latin1', 'char_latin1', 'text_latin1'],
    literals: ["'héllo'"],
    known: 'stream',
    text: '68e96c6c6f',
    lost: false,
  },
  { names: ['varchar_latin1'], literals: ["'€uro'"], known: 'stream', text: '8075726f', lost: false },
  { names: ['varchar_ucs2'], known: 'stream', text: '', lost: false },
  { names: ['varchar_utf16'], literals: ["'abc'"], known: 'stream', text: '', lost: false },
  { names: ['varchar_utf16'], literals: ["'😀'"], known: 'stream', text: 'd83dde', lost: false },
  { names: ['varchar_sjis'], literals: ["'日本'"], known: 'stream', text: '93fa967b', lost: false },
  // The zero bytes at the end of a BINARY of unknown length.
  ...shortBinary({ "''": '', "'abc'": '616263', "x'00ff10'": '00ff10', "x'ff'": 'ff' }),
  ...shortBinary({ "x'00000000000000000000'": '', "x'61620063640000000000'": '6162006364' }),
  // A VARBINARY is cut at its first zero byte; "ab" then reads as hex.
  { names: ['varbinary_20'], literals: ["x'00ff10'", "x'00'"], text: '\\x', lost: false },
  { names: ['varbinary_20', 'varbinary_300'], literals: ["x'ff00ff'"], text: '\\xff', lost: false },
  { names: ['varbinary_20'], literals: ["x'616200'"], text: '\\xab', lost: false },
  { names: ['varbinary_300'], literals: [`x'${hexOfAllBytes()}'`], text: '\\x', lost: false },
  // The empty blob has the form of a single zero byte; text of hex digits has the form of bytes.
  { names: ['tinyblob'], literals: ["x'00'"], text: '\\x', lost: false },
  { names: ['blob'], literals: ["x'6666'"], text: '\\xff', lost: false },
];

const listed = [...lost, ...counted, ...ambiguous];
const unseen = new Set(listed);

/** How a recorded value comes out other than it was inserted; null = it comes out right. */
export function findDeviation(place: {
  name: string;
  literal: string;
  folder: string;
  known: string;
}): Deviation | null {
  if (place.literal === 'NULL') {
    return null;
  }
  const found = listed.find(
    (entry) =>
      entry.names.includes(place.name) &&
      (entry.literals?.includes(place.literal) ?? true) &&
      (entry.folder ?? place.folder) === place.folder &&
      (entry.known ?? place.known) === place.known,
  );
  if (found !== undefined) {
    unseen.delete(found);
  }
  return found ?? null;
}

/** The entries that no value asked for so far: after all recordings, there must be none. */
export function listUnseen(): readonly Listed[] {
  return [...unseen];
}

function wrongDecimals(name: string, values: Readonly<Record<string, string>>): Listed[] {
  return Object.entries(values).map(([literal, text]) => ({
    names: [name],
    literals: [literal],
    known: 'stream',
    text,
    lost: false,
  }));
}

function shortBinary(values: Readonly<Record<string, string>>): Listed[] {
  return Object.entries(values).map(([literal, hex]) => ({
    names: ['binary_10'],
    literals: [literal],
    known: 'stream',
    text: `\\x${hex}`,
    lost: false,
  }));
}

function hexOfAllBytes(): string {
  return Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('hex');
}
