import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, type TestDatabase } from '../../../../test/harness/databases.js';
import { mapColumn, type ColumnKnowledge, type TypeSettings } from '../../src/types/index.js';
import { type Converted, convertLines, settings } from './conversion.js';
import * as maxscale from './maxscale-printer.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createEmptyDatabase();
});

afterAll(async () => {
  await database.drop();
});

interface Column {
  readonly real: string;
  readonly avro: string;
  readonly unsigned?: boolean;
  readonly knowledge?: ColumnKnowledge;
  readonly settings?: TypeSettings;
}

async function convert(column: Column, printed: readonly string[]): Promise<Converted[]> {
  const field = { name: 'v', realType: column.real, avroType: column.avro, unsigned: column.unsigned ?? false };
  const mapping = mapColumn(field, column.knowledge, column.settings ?? settings);
  return convertLines(
    database.pool,
    mapping,
    printed.map((value) => maxscale.printLine(value)),
  );
}

async function convertToText(column: Column, printed: readonly string[]): Promise<(string | null)[]> {
  return (await convert(column, printed)).map(({ text }) => text);
}

/** Runs `check` on lists of values, so that one statement carries many. */
async function forAll<T>(values: fc.Arbitrary<T>, check: (list: T[]) => Promise<void>, size = 200): Promise<void> {
  await fc.assert(fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: size, size: 'max' }), check), {
    numRuns: 25,
  });
}

const bytes = (length: fc.IntArrayConstraints | { minLength?: number; maxLength?: number }) =>
  fc.uint8Array({ ...length, size: 'max' }).map((array) => Buffer.from(array));

describe('integers', () => {
  it.each([
    ['int', 'int', 32n],
    ['bigint', 'long', 64n],
  ])('an unsigned %s comes back whole, however MaxScale wrapped it', async (real, avro, bits) => {
    await forAll(fc.bigInt({ min: 0n, max: 2n ** bits - 1n }), async (list) => {
      const printed = list.map((value) => String(BigInt.asIntN(Number(bits), value)));
      expect(await convertToText({ real, avro, unsigned: true }, printed)).toEqual(list.map(String));
    });
  });

  it('a bigint keeps all 64 bits', async () => {
    await forAll(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), async (list) => {
      expect(await convertToText({ real: 'bigint', avro: 'long' }, list.map(String))).toEqual(list.map(String));
    });
  });
});

describe('floating point', () => {
  it('a double keeps every bit', async () => {
    await forAll(fc.double({ noNaN: true, noDefaultInfinity: true }), async (list) => {
      const got = await convertToText({ real: 'double', avro: 'double' }, list.map(maxscale.printDouble));
      expect(got.map(Number)).toEqual(list);
    });
  });

  it('a float keeps every bit', async () => {
    await forAll(fc.float({ noNaN: true, noDefaultInfinity: true }), async (list) => {
      const got = await convertToText({ real: 'float', avro: 'float' }, list.map(maxscale.printDouble));
      expect(got.map((text) => Math.fround(Number(text)))).toEqual(list);
    });
  });
});

describe('decimals', () => {
  const digits = fc
    .record({ whole: fc.integer({ min: 0, max: 18 }), scale: fc.integer({ min: 0, max: 9 }) })
    .filter(({ whole, scale }) => whole + scale > 0);
  const declared = digits.chain(({ whole, scale }) =>
    fc.record({
      whole: fc.constant(whole),
      scale: fc.constant(scale),
      values: fc.array(
        fc.record({
          negative: fc.boolean(),
          whole: fc
            .integer({ min: 0, max: whole })
            .chain((length) => fc.bigInt({ min: 0n, max: 10n ** BigInt(length) - 1n })),
          fraction: fc.bigInt({ min: 0n, max: 10n ** BigInt(scale) - 1n }),
        }),
        { minLength: 1, maxLength: 100, size: 'max' },
      ),
    }),
  );

  /** Rounded once to a double and once more to the 17 digits that are printed, it ends in 5 beyond its last place. */
  const roundedTwice = {
    whole: 16,
    scale: 9,
    values: [{ negative: false, whole: 4_194_304n, fraction: 759_627_420n }],
  };

  it('a decimal of known precision comes back exactly, or is counted; up to 15 digits it is never counted', async () => {
    await fc.assert(
      fc.asyncProperty(declared, async ({ whole, scale, values }) => {
        const column = { real: 'decimal', avro: 'double', knowledge: { type: `decimal(${whole + scale},${scale})` } };
        const rows = await convert(
          column,
          values.map((v) => maxscale.printDecimal(v.negative, v.whole, v.fraction, scale)),
        );
        const wanted = values.map((v) => writeDecimal(v, scale));
        const uncounted = (i: number) => rows[i]?.lost === '0';
        expect(rows.map(({ text }) => text).filter((_, i) => uncounted(i))).toEqual(
          wanted.filter((_, i) => uncounted(i)),
        );
        const isPlain = whole + scale <= 15 && whole <= 9;
        expect(rows.filter((_, i) => isPlain && !uncounted(i))).toEqual([]);
      }),
      { numRuns: 100, examples: [[roundedTwice]] },
    );
  });

  it('a decimal of unknown precision with 15 digits comes back exactly', async () => {
    await forAll(
      fc.record({ negative: fc.boolean(), whole: fc.bigInt(0n, 10n ** 9n - 1n), fraction: fc.bigInt(0n, 999_999n) }),
      async (list) => {
        const got = await convertToText(
          { real: 'decimal', avro: 'double' },
          list.map((v) => maxscale.printDecimal(v.negative, v.whole, v.fraction, 6)),
        );
        expect(got.map(Number)).toEqual(list.map((v) => Number(writeDecimal(v, 6))));
      },
    );
  });

  it('a decimal of unknown precision without decimals is put right up to 2^53 as it arrives', async () => {
    await forAll(fc.bigInt(0n, 2_000_000n * 10n ** 9n), async (list) => {
      const got = await convertToText(
        { real: 'decimal', avro: 'double' },
        list.map((v) => maxscale.printDecimal(false, v, 0n, 0)),
      );
      expect(got).toEqual(list.map(String));
    });
  });

  function writeDecimal(value: { negative: boolean; whole: bigint; fraction: bigint }, scale: number): string {
    const fraction = scale === 0 ? '' : `.${value.fraction.toString().padStart(scale, '0')}`;
    const isZero = value.whole === 0n && value.fraction === 0n;
    return `${value.negative && !isZero ? '-' : ''}${value.whole}${fraction}`;
  }
});

describe('text', () => {
  const character = fc.oneof(
    fc.integer({ min: 0, max: 0x10ffff }).filter((code) => code < 0xd800 || code > 0xdfff),
    fc.constantFrom(0, 0, 0x22, 0x5c, 0x75, 0x30, 0x2028, 0xe000, 0xe001, 0xf0000, 0xfeff, 0x7f, 0x3a, 0x20),
  );
  const texts = fc.array(character, { maxLength: 40, size: 'max' }).map((codes) => String.fromCodePoint(...codes));

  it('text keeps every character of every plane, but NULs', async () => {
    await forAll(texts, async (list) => {
      const printed = list.map((text) => maxscale.printBytes(Buffer.from(text)));
      expect(await convertToText({ real: 'text', avro: 'bytes' }, printed)).toEqual(
        list.map((text) => text.replaceAll('\0', '')),
      );
    });
  });

  it('NULs become U+FFFD where configured so, and an empty text stays empty', async () => {
    const replacing = { ...settings, nulCharacters: 'replace' as const };
    await forAll(
      texts.filter((text) => text !== '\0'),
      async (list) => {
        const printed = list.map((text) => maxscale.printBytes(Buffer.from(text)));
        const got = await convertToText({ real: 'longtext', avro: 'bytes', settings: replacing }, printed);
        expect(got).toEqual(list.map((text) => text.replaceAll('\0', '\uFFFD')));
      },
    );
  });

  it('latin1 text with an accent among letters comes back', async () => {
    const word = fc
      .stringMatching(/^[g-zG-Z ]{1,10}[éèàüößÄñ€œ][g-zG-Z ]{1,10}$/)
      .filter((text) => /[a-f]/.test(encodeCp1252(text).toString('hex')));
    await forAll(word, async (list) => {
      const printed = list.map((text) => maxscale.printBytes(encodeCp1252(text)));
      expect(
        await convertToText({ real: 'varchar', avro: 'string', knowledge: { charset: 'latin1' } }, printed),
      ).toEqual(list);
    });
  });

  it('latin1 text that only looks like hex stays: years, telephone numbers, words, checksums', async () => {
    const list = [
      '1995',
      '0699887766',
      'decade',
      'facade',
      'cafe',
      'ff',
      'd41d8cd98f00b204e9800998ecf8427e',
      'abc',
      '',
      'c3a9',
    ];
    const column = { real: 'varchar', avro: 'string', knowledge: { type: 'varchar(40) character set latin1' } };
    expect(await convertToText(column, list.map(maxscale.printString))).toEqual(list);
  });

  it('latin1 bytes that happen to be valid UTF-8 come back, with NULs removed or replaced', async () => {
    const printed = ['Ã©', 'a\0Ã©'].map((text) => maxscale.printBytes(encodeCp1252(text)));
    const column = { real: 'text', avro: 'bytes', knowledge: { charset: 'latin1' } };
    expect(await convertToText(column, printed)).toEqual(['Ã©', 'aÃ©']);
    const replacing = { ...column, settings: { ...settings, nulCharacters: 'replace' as const } };
    expect(await convertToText(replacing, printed)).toEqual(['Ã©', 'a\uFFFDÃ©']);
  });

  function encodeCp1252(text: string): Buffer {
    return Buffer.from(Array.from(text, (c) => ({ '€': 0x80, œ: 0x9c })[c] ?? c.charCodeAt(0)));
  }
});

describe('bytes', () => {
  const blobs = fc.oneof(
    bytes({ maxLength: 60 }),
    fc
      .array(fc.constantFrom(0, 0x5c, 0x61, 0x66, 0x30, 0x39, 0xc3, 0xa9, 0xed, 0xa0, 0x80, 0xf4, 0x90, 0xe2), {
        maxLength: 8,
      })
      .map((array) => Buffer.from(array)),
  );

  it('a blob comes back byte for byte, unless its bytes are hex digits in lower case or a single zero', async () => {
    await forAll(
      blobs.filter((blob) => !maxscale.isAmbiguousBlob(blob)),
      async (list) => {
        const got = await convertToText({ real: 'blob', avro: 'bytes' }, list.map(maxscale.printBytes));
        expect(got).toEqual(list.map((blob) => `\\x${blob.toString('hex')}`));
      },
    );
  });

  it('hex digits are bytes exactly when those bytes are not valid UTF-8', async () => {
    const edges = '00 7f 80 8f 90 9f a0 bf c0 c1 c2 cf d0 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff'.split(' ');
    const pairs = edges.flatMap((first) => edges.map((second) => first + second));
    const singles = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'));
    const triples = edges.flatMap((first) => pairs.map((rest) => first + rest));
    const quadruples = ['c3', 'e0', 'ed', 'f0', 'f1', 'f3', 'f4', 'f5'].flatMap((first) =>
      triples.map((rest) => first + rest),
    );
    const list = [...singles, ...pairs, ...triples, ...quadruples].filter((hex) => hex !== '00');
    const wanted = list.map((hex) => {
      const decoded = Buffer.from(hex, 'hex');
      return `\\x${(maxscale.isUtf8(decoded) ? Buffer.from(hex) : decoded).toString('hex')}`;
    });
    const got = await convertToText({ real: 'blob', avro: 'bytes' }, list.map(maxscale.printString));
    expect(got.flatMap((text, i) => (text === wanted[i] ? [] : [`${list[i]} → ${text}`]))).toEqual([]);
  });

  it('a binary of known length has its zero bytes back', async () => {
    await forAll(bytes({ minLength: 12, maxLength: 12 }), async (list) => {
      const zeroed = list.map((blob, i) => blob.fill(0, Math.max(0, 12 - (i % 14))));
      const stripped = zeroed.map((blob) => Buffer.from(blob.toString('hex').replace(/(?:00)+$/, ''), 'hex'));
      const clear = zeroed.filter((_, i) => !maxscale.isAmbiguousBlob(stripped[i] ?? Buffer.alloc(0)));
      const printed = stripped
        .filter((blob) => !maxscale.isAmbiguousBlob(blob))
        .map((blob) => (blob.length === 0 ? '""' : maxscale.printBytes(blob)));
      const column = { real: 'binary', avro: 'bytes', knowledge: { type: 'binary(12)' } };
      expect(await convertToText(column, printed)).toEqual(clear.map((blob) => `\\x${blob.toString('hex')}`));
    });
  });

  it('a checksum in hex that fills its binary column is text', async () => {
    await forAll(bytes({ minLength: 16, maxLength: 16 }), async (list) => {
      const column = { real: 'binary', avro: 'bytes', knowledge: { type: 'binary(32)', postgres: 'text' } };
      const digits = list.map((blob) => blob.toString('hex'));
      expect(await convertToText(column, digits.map(maxscale.printString))).toEqual(digits);
    });
  });

  it.each([
    ['uuid', 16],
    ['inet6', 16],
    ['inet4', 4],
  ])('a value of type %s comes back, or is NULL and counted: never another value', async (real, length) => {
    const octet = fc.oneof(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(0, 0x63, 0x61, 0x66, 0x65, 0xff, 0xc3, 0xa9),
    );
    const value = fc
      .array(octet, { minLength: length, maxLength: length, size: 'max' })
      .map((array) => Buffer.from(array));
    await forAll(value, async (list) => {
      const rows = await convert({ real, avro: 'string' }, list.map(maxscale.printCutBytes));
      const { rows: wanted } = await database.pool.query<{ text: string }>(
        `SELECT CASE WHEN $2 = 'uuid' THEN v::uuid::text WHEN $2 = 'inet6' THEN host(regexp_replace(v, '(....)(?=.)', '\\1:', 'g')::inet)
           ELSE get_byte(decode(v, 'hex'), 0) || '.' || get_byte(decode(v, 'hex'), 1) || '.' || get_byte(decode(v, 'hex'), 2) || '.' || get_byte(decode(v, 'hex'), 3) END AS text
         FROM unnest($1::text[]) WITH ORDINALITY AS u(v, o) ORDER BY o`,
        [list.map((blob) => blob.toString('hex')), real],
      );
      expect(
        rows
          .map(({ text, lost }, i) => (lost === '1' && text === null ? 'counted' : text === wanted[i]?.text))
          .filter((right) => right === false),
      ).toEqual([]);
      const unharmed = list.map((blob) => blob.indexOf(0) === -1 || blob.indexOf(0) === length - 1);
      const clear = list.map(
        (blob) => !maxscale.isAmbiguousBlob(blob.subarray(0, (blob.indexOf(0) + length + 1) % (length + 1))),
      );
      expect(rows.filter(({ lost }, i) => lost === '1' && unharmed[i] && clear[i])).toEqual([]);
    });
  });
});

describe('enum and set', () => {
  it('an enum index of one or two bytes finds its label, whatever is in it; without labels it is a number', async () => {
    const labels = Array.from({ length: 300 }, (_, i) => `it's \\ ${i}, "é"`);
    const type = `enum(${labels.map((label) => `'${label.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`).join(',')})`;
    const printed = Array.from({ length: 301 }, (_, i) => maxscale.printLittleEndian(BigInt(i), 2));
    expect(await convertToText({ real: 'enum', avro: 'string', knowledge: { type } }, printed)).toEqual([
      '',
      ...labels,
    ]);
    const indexes = [0, 1, 255, 256, 32767, 32768, 65535];
    const wide = indexes.map((i) => maxscale.printLittleEndian(BigInt(i), 2));
    expect(await convertToText({ real: 'enum', avro: 'string' }, wide)).toEqual(indexes.map(String));
  });

  it('an index that the configured labels do not have is NULL and counted', async () => {
    const rows = await convert({ real: 'enum', avro: 'string', knowledge: { type: "enum('a','b')" } }, [
      '"02"',
      '"03"',
      '"2C01"',
    ]);
    expect(rows).toEqual([
      { text: 'b', lost: '0' },
      { text: null, lost: '1' },
      { text: null, lost: '1' },
    ]);
  });

  it('a set of any size comes back as labels, or as its bitmap', async () => {
    const sets = fc.integer({ min: 1, max: 64 }).chain((size) =>
      fc.record({
        size: fc.constant(size),
        maps: fc.array(fc.bigInt(0n, 2n ** BigInt(size) - 1n), { minLength: 1, maxLength: 30 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(sets, async ({ size, maps }) => {
        const labels = Array.from({ length: size }, (_, i) => `l${i}`);
        const width = size > 32 ? 8 : Math.ceil(size / 8);
        const printed = maps.map((map) => maxscale.printLittleEndian(map, width));
        const type = `set(${labels.map((label) => `'${label}'`).join(',')})`;
        const named = maps.map((map) => labels.filter((_, i) => (map >> BigInt(i)) & 1n).join(','));
        expect(await convertToText({ real: 'set', avro: 'string', knowledge: { type } }, printed)).toEqual(named);
        expect(await convertToText({ real: 'set', avro: 'string' }, printed)).toEqual(maps.map(String));
      }),
      { numRuns: 40 },
    );
  });

  it('a set value with a bit that the configured labels do not have is NULL and counted', async () => {
    const rows = await convert({ real: 'set', avro: 'string', knowledge: { type: "set('a','b')" } }, [
      '"03"',
      '"04"',
      '"0000000000000080"',
    ]);
    expect(rows).toEqual([
      { text: 'a,b', lost: '0' },
      { text: null, lost: '1' },
      { text: null, lost: '1' },
    ]);
  });
});

describe('times', () => {
  const LIMIT = 838 * 3600 + 59 * 60 + 59;
  const HOURS_185 = 185 * 3_600_000_000;

  it.each([0, 1, 2, 3, 4, 5, 6])(
    'a TIME(%i) of known precision comes back, negative ones too, or is counted',
    async (digits) => {
      const unit = 10 ** (6 - digits);
      await forAll(fc.integer({ min: -LIMIT * 10 ** digits, max: LIMIT * 10 ** digits }), async (list) => {
        const micros = list.map((value) => value * unit);
        const column = { real: 'time', avro: 'string', knowledge: { type: digits === 0 ? 'time' : `time(${digits})` } };
        const rows = await convert(
          column,
          micros.map((value) => maxscale.printTime(value, digits)),
        );
        const wrong = rows.flatMap(({ text, lost }, i) =>
          text === writeTime(micros[i] ?? 0) || lost === '1' ? [] : [`${micros[i]} → ${text}`],
        );
        expect(wrong).toEqual([]);
        const needless = rows.filter(
          ({ lost }, i) => lost === '1' && (Math.abs(micros[i] ?? 0) < HOURS_185 || (micros[i] ?? 0) % 1e6 !== 0),
        );
        expect(needless).toEqual([]);
      });
    },
  );

  it.each([0, 1, 2, 3, 4, 5, 6])('a TIME(%i) of unknown precision comes back, or is counted', async (digits) => {
    const unit = 10 ** (6 - digits);
    await forAll(fc.integer({ min: -LIMIT * 10 ** digits, max: LIMIT * 10 ** digits }), async (list) => {
      const micros = list.map((value) => value * unit);
      const rows = await convert(
        { real: 'time', avro: 'string' },
        micros.map((value) => maxscale.printTime(value, digits)),
      );
      const wrong = rows.flatMap(({ text, lost }, i) =>
        text === writeTime(micros[i] ?? 0) || lost === '1' ? [] : [`${micros[i]} → ${text}`],
      );
      expect(wrong).toEqual([]);
      const isClear = (value: number) => {
        const printed = maxscale.printTime(value, digits);
        return Math.abs(value) < HOURS_185 && !/\.\d{4}00"|\.16600000"/.test(printed);
      };
      expect(rows.filter(({ lost }, i) => lost === '1' && isClear(micros[i] ?? 0))).toEqual([]);
    });
  });

  /** As PostgreSQL prints an interval. */
  function writeTime(micros: number): string {
    const whole = Math.floor(Math.abs(micros) / 1e6);
    const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60].map((part) =>
      String(part).padStart(2, '0'),
    );
    const fraction = String(Math.abs(micros) % 1e6)
      .padStart(6, '0')
      .replace(/0+$/, '');
    return `${micros < 0 ? '-' : ''}${parts.join(':')}${fraction === '' ? '' : `.${fraction}`}`;
  }
});

describe('dates', () => {
  const day = fc.record({
    y: fc.integer({ min: 0, max: 9999 }),
    m: fc.integer({ min: 0, max: 12 }),
    d: fc.integer({ min: 0, max: 31 }),
  });
  const pad = (value: number, length: number) => String(value).padStart(length, '0');

  function isPossible({ y, m, d }: { y: number; m: number; d: number }): boolean {
    const date = new Date(Date.UTC(2000, 0, 1));
    date.setUTCFullYear(y, m - 1, d);
    return y > 0 && m > 0 && d > 0 && date.getUTCMonth() === m - 1;
  }

  it('every date comes back; impossible ones are NULL, or -infinity where configured so', async () => {
    await forAll(day, async (list) => {
      const printed = list.map(({ y, m, d }) => `"${y}-${pad(m, 2)}-${pad(d, 2)}"`);
      const wanted = (impossible: string | null) =>
        list.map((date) => (isPossible(date) ? `${pad(date.y, 4)}-${pad(date.m, 2)}-${pad(date.d, 2)}` : impossible));
      expect(await convertToText({ real: 'date', avro: 'string' }, printed)).toEqual(wanted(null));
      const infinite = { ...settings, zeroDates: '-infinity' as const };
      expect(await convertToText({ real: 'date', avro: 'string', settings: infinite }, printed)).toEqual(
        wanted('-infinity'),
      );
    });
  });

  it.each([0, 1, 2, 3, 4, 5, 6])('a DATETIME(%i) of known precision comes back', async (digits) => {
    const moments = fc.record({
      date: day,
      second: fc.integer({ min: 0, max: 86_399 }),
      part: fc.integer({ min: 0, max: 10 ** digits - 1 }),
    });
    await forAll(moments, async (list) => {
      const time = (second: number) =>
        [second / 3600, (second / 60) % 60, second % 60].map((part) => pad(Math.floor(part), 2)).join(':');
      const printed = list.map(
        ({ date: { y, m, d }, second, part }) =>
          `"${y}-${pad(m, 2)}-${pad(d, 2)} ${time(second)}${maxscale.printMomentFraction(part * 10 ** (6 - digits), digits)}"`,
      );
      const column = { real: 'datetime', avro: 'string', knowledge: { type: `datetime(${digits})` } };
      const wanted = list.map(({ date, second, part }) => {
        const fraction = digits === 0 ? '' : `.${pad(part, digits)}`.replace(/\.?0+$/, '');
        return isPossible(date)
          ? `${pad(date.y, 4)}-${pad(date.m, 2)}-${pad(date.d, 2)} ${time(second)}${fraction}`
          : null;
      });
      expect(await convertToText(column, printed)).toEqual(wanted);
    });
  });
});
