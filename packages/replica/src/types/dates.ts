import type { MappingDraft, SourceColumn, TypeFamily, TypeSettings } from './column-mapping.js';
import { AMBIGUOUS_FRACTION, fixFraction, fractionDigits, isAmbiguousFraction } from './fractions.js';
import { quoteLiteral } from '../names.js';

const IMPOSSIBLE_DATES = 'zero, partial and impossible dates (0000-00-00, 2024-05-00, 2023-02-30) become NULL';
const ZERO_DATES_SETTING = '`writer.zeroDates: -infinity` keeps them apart from NULL';

export const dateFamily: TypeFamily = {
  words: ['date'],
  notes: [
    {
      mariadb: 'DATE',
      postgres: 'date',
      arrives: 'text, the year without leading zeros: `1-01-01`',
      done: `years are completed; ${IMPOSSIBLE_DATES}`,
      lost: 'nothing that a PostgreSQL date could hold',
      configure: ZERO_DATES_SETTING,
    },
  ],
  map: ({ settings }) => ({
    postgresType: 'date',
    jsonType: 'text',
    value: (ref) => convertMoment(ref, { cast: 'date', digits: 0, settings }),
  }),
};

export const datetimeFamily: TypeFamily = {
  words: ['datetime'],
  notes: [
    {
      mariadb: 'DATETIME, DATETIME(n)',
      postgres: 'timestamp',
      arrives: 'text; fractions of n = 1, 3, 5 are ten times too big: .001 as `.010000`, .789 as `.7890000`',
      done: `as DATE; seven digits are read right; six are put right when n is known; ${IMPOSSIBLE_DATES}`,
      lost: 'n unknown: fractions below 0.1 s of n = 1, 3, 5 are ten times too big (counted where possible)',
      configure: `\`type: datetime(3)\`; ${ZERO_DATES_SETTING}`,
    },
  ],
  map: (column) => ({
    postgresType: 'timestamp',
    jsonType: 'text',
    value: (ref) => convertDatetime(ref, column),
    ...noteFraction(column),
  }),
};

export const timestampFamily: TypeFamily = {
  words: ['timestamp', 'timestamp_'],
  notes: [
    {
      mariadb: 'TIMESTAMP, TIMESTAMP(n)',
      postgres: 'timestamptz',
      arrives: "text in the MaxScale host's time zone, otherwise as DATETIME",
      done: 'as DATETIME, then read in `timeZone` of the source',
      lost: 'as DATETIME; in a zone with summer time, which of the two hours it was when clocks go back',
      configure: "`timeZone` of the source must be the MaxScale host's; run MaxScale in UTC; `type: timestamp(3)`",
    },
  ],
  map: (column) => {
    const zone = quoteLiteral(column.settings.timeZone);
    const clocksGoBack = /^(?:etc\/)?(?:utc|gmt|uct|zulu|universal)$/i.test(column.settings.timeZone)
      ? {}
      : { unreliable: `times arrive in the zone ${column.settings.timeZone}, where an hour may occur twice a year` };
    return {
      postgresType: 'timestamptz',
      jsonType: 'text',
      value: (ref) => `(${convertDatetime(ref, column)}) AT TIME ZONE ${zone}`,
      ...clocksGoBack,
      ...noteFraction(column),
    };
  },
};

export const yearFamily: TypeFamily = {
  words: ['year'],
  notes: [
    {
      mariadb: 'YEAR',
      postgres: 'smallint',
      arrives: 'text; 0000 as `1900`',
      done: '1900, which YEAR cannot hold, is 0 again',
      lost: 'nothing',
      configure: '',
    },
  ],
  map: () => ({
    postgresType: 'smallint',
    jsonType: 'smallint',
    value: (ref) => `CASE WHEN ${ref} = 1900 THEN 0::smallint ELSE ${ref} END`,
  }),
};

function convertDatetime(ref: string, column: SourceColumn): string {
  return convertMoment(ref, { cast: 'timestamp', digits: fractionDigits(column.known), settings: column.settings });
}

function noteFraction(column: SourceColumn): Pick<MappingDraft, 'lost' | 'unreliable'> {
  return fractionDigits(column.known) === null
    ? { lost: (ref) => `(${isAmbiguousFraction(ref)})`, unreliable: AMBIGUOUS_FRACTION }
    : {};
}

interface MomentForm {
  readonly cast: 'date' | 'timestamp';
  readonly digits: number | null;
  readonly settings: TypeSettings;
}

/** Four digits of year, no zero month or day, and a day that every month has need no second look. */
function convertMoment(ref: string, form: MomentForm): string {
  const ordinary = `strpos(${ref}, '-') = 5 AND ${ref} NOT LIKE '%-00%' AND substr(${ref}, 9, 2) COLLATE "C" < '29'`;
  return (
    `CASE WHEN ${ref} IS NULL THEN NULL WHEN ${ordinary} THEN (${fixFraction(ref, form.digits)})::${form.cast} ` +
    `ELSE ${convertRareMoment(ref, form)} END`
  );
}

/** Takes the date apart, so that an impossible one is recognised before PostgreSQL would refuse it. */
function convertRareMoment(ref: string, { cast, digits, settings }: MomentForm): string {
  const impossible = settings.zeroDates === 'null' ? `NULL::${cast}` : `'-infinity'::${cast}`;
  const date = 'make_date(t.y, t.m, 1) + (t.d - 1)';
  const time = fixFraction("split_part(t.v, ' ', 2)", digits);
  const whole = cast === 'date' ? date : `${date} + (${time})::time`;
  return (
    `(SELECT CASE WHEN t.y < 1 OR t.m NOT BETWEEN 1 AND 12 OR t.d < 1 THEN ${impossible} ` +
    `WHEN t.d > 28 AND extract(month FROM ${date}) <> t.m THEN ${impossible} ELSE ${whole} END ` +
    `FROM (SELECT ${ref} AS v, split_part(${ref}, '-', 1)::int AS y, split_part(${ref}, '-', 2)::int AS m, ` +
    `left(split_part(${ref}, '-', 3), 2)::int AS d) t)`
  );
}
