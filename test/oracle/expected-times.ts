const momentPattern = /^(\d{1,4})-(\d\d)-(\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?)?$/;

interface Moment {
  /** Null for a date that no calendar has. */
  readonly date: string | null;
  readonly time: string;
  readonly fraction: string;
}

function readMoment(text: string): Moment {
  const match = momentPattern.exec(text);
  if (match === null) throw new Error(`${text} is no date`);
  const [, year = '', month = '', day = '', time = '', fraction = ''] = match;
  const date = `${year.padStart(4, '0')}-${month}-${day}`;
  const parsed = new Date(`${date}T00:00:00Z`);
  const exists = Number(year) > 0 && !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(date);
  return { date: exists ? date : null, time, fraction };
}

/** `1-01-01` → `0001-01-01`; zero, partial and impossible dates → null. */
export function completeDate(text: string): string | null {
  return readMoment(text).date;
}

export function completeMoment(text: string): string | null {
  const { date, time, fraction } = readMoment(text);
  if (date === null) return null;
  const shown = trueFraction(fraction).replace(/0+$/, '');
  return shown === '' ? `${date} ${time}` : `${date} ${time}.${shown}`;
}

/** Fractions of 1, 3 and 5 decimals are ten times too big, in microseconds: where that takes a seventh digit it shows. */
function trueFraction(fraction: string): string {
  return fraction.slice(0, 6);
}

const timePattern = /^(-?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?$/;

interface TimeOfDay {
  readonly negative: boolean;
  readonly hours: number;
  readonly minutes: number;
  readonly seconds: number;
  readonly fraction: string;
}

function readTime(text: string): TimeOfDay {
  const match = timePattern.exec(text);
  if (match === null) throw new Error(`${text} is no time`);
  const [, sign, hours, minutes, seconds, fraction = ''] = match;
  const numbers = { hours: Number(hours), minutes: Number(minutes), seconds: Number(seconds) };
  return { negative: sign === '-', ...numbers, fraction };
}

function inMicroseconds({ negative, hours, minutes, seconds, fraction }: TimeOfDay): string {
  const total = ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + Number(fraction.padEnd(6, '0'));
  return String(negative ? -total : total);
}

/** What PostgreSQL shows for an interval of hours, minutes and seconds. */
export function microsecondsOf(text: string): string {
  return inMicroseconds(readTime(text));
}

/**
 * A TIME of the stream. A negative one of whole seconds shows as hours, minutes and seconds of 2^22 minus itself
 * (12, 6 and 6 bits); one with a fraction is garbled further, and not predicted here.
 */
export function timeInMicroseconds(text: string): string | undefined {
  const time = readTime(text);
  const isGarbled = time.hours > 838 || time.minutes > 59 || time.seconds > 59 || time.fraction.length > 7;
  if (!isGarbled) return inMicroseconds({ ...time, fraction: trueFraction(time.fraction) });
  if (time.fraction !== '') return undefined;
  const bits = 2 ** 22 - (time.hours * 4096 + time.minutes * 64 + time.seconds);
  const hours = Math.floor(bits / 4096);
  return inMicroseconds({
    negative: true,
    hours,
    minutes: Math.floor(bits / 64) % 64,
    seconds: bits % 64,
    fraction: '',
  });
}
