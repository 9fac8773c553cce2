/** How MaxScale prints values, written from what was recorded: the properties feed the mapping with it. */

const SHORT: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
};

export function printString(text: string): string {
  const escaped = Array.from(text, (c) => SHORT[c] ?? (c < ' ' ? escapeControl(c) : c)).join('');
  return `"${escaped}"`;
}

function escapeControl(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
}

export function printLine(value: string, position = 1): string {
  return `{"domain": 0, "server_id": 1, "sequence": ${position}, "event_number": 1, "timestamp": 1795347409, "event_type": "insert", "v": ${value}}`;
}

/** %.17g, always with a point or an exponent. */
export function printDouble(value: number): string {
  const text = `${Object.is(value, -0) ? '-' : ''}${value.toPrecision(17)}`;
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A blob, or any text but the empty one. */
export function printBytes(bytes: Buffer): string {
  return bytes.length === 0 ? '"\\u0000"' : printString(isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('hex'));
}

/** VARBINARY, UUID, INET4, INET6: up to the first zero byte. */
export function printCutBytes(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  const cut = end === -1 ? bytes : bytes.subarray(0, end);
  return cut.length === 0 ? '""' : printBytes(cut);
}

export function isUtf8(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}

/** True when text of these bytes is also what other bytes would be printed as, or when they are one zero byte. */
export function isAmbiguousBlob(bytes: Buffer): boolean {
  const text = bytes.toString('latin1');
  return text === '\0' || (/^(?:[0-9a-f]{2})+$/.test(text) && !isUtf8(Buffer.from(text, 'hex')));
}

/** The bytes of an index or bitmap, low one first, in upper-case hex. */
export function printLittleEndian(value: bigint, bytes: number): string {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(value);
  return `"${buffer.subarray(0, bytes).toString('hex').toUpperCase()}"`;
}

/** Microseconds of a TIME(n) as MariaDB packs it (my_time_packed_to_binary) and MaxScale reads it, without the sign. */
export function printTime(micros: number, digits: number): string {
  const negative = micros < 0;
  const whole = Math.floor(Math.abs(micros) / 1e6);
  const unit = 10 ** (6 - 2 * Math.ceil(digits / 2));
  const fraction = (Math.abs(micros) % 1e6) / unit;
  const fractionSpan = 256 ** Math.ceil(digits / 2);
  let bits = (Math.floor(whole / 3600) << 12) | ((Math.floor(whole / 60) % 60) << 6) | (whole % 60);
  let stored = fraction;
  if (negative) {
    bits = -bits;
    if (fraction > 0) {
      bits -= 1;
      stored = fractionSpan - fraction;
    }
  }
  const hours = (bits >> 12) & 0x3ff;
  const time = [hours, (bits >> 6) & 0x3f, bits & 0x3f].map((part) => String(part).padStart(2, '0')).join(':');
  return digits === 0 ? `"${time}"` : `"${time}.${printFraction(stored * unit, digits)}"`;
}

function printFraction(micros: number, digits: number): string {
  return String(digits % 2 === 1 ? micros * 10 : micros).padStart(6, '0');
}

/** The fraction of DATETIME(n) and TIMESTAMP(n). */
export function printMomentFraction(micros: number, digits: number): string {
  return digits === 0 ? '' : `.${printFraction(micros, digits)}`;
}

/** A DECIMAL of up to 18 digits before and 9 after the point; `digits` without point or sign. */
export function printDecimal(negative: boolean, whole: bigint, fraction: bigint, scale: number): string {
  const joined = (whole / 1_000_000_000n) * 2n ** 32n + (whole % 1_000_000_000n);
  const value = Number(joined) + Number(fraction) / 10 ** scale;
  return printDouble(negative ? -value : value);
}
