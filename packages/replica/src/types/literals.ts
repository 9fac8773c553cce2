/**
 * A string as an SQL literal, right under either setting of standard_conforming_strings. Labels and time zones are
 * written by strangers: every literal made from such text goes through here.
 *
 * @throws RangeError when the text holds a NUL, which no PostgreSQL text can.
 */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) {
    throw new RangeError('a NUL character cannot be part of an SQL literal');
  }
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
