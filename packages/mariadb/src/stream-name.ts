const reserved = new Set(['domain', 'server_id', 'sequence', 'event_number', 'timestamp', 'event_type']);

/**
 * A column's name as MaxScale's stream has it: each byte of UTF-8 that is no letter, digit or `_` of ASCII becomes `_`,
 * and a name of one of the stream's own fields gets a `_`. Two columns may get the same name; MaxScale then sends no
 * rows of the table.
 */
export function toStreamName(name: string): string {
  const safe = Buffer.from(name, 'utf8')
    .toString('latin1')
    .replaceAll(/[^A-Za-z0-9_]/g, '_');
  return reserved.has(safe.toLowerCase()) ? `${safe}_` : safe;
}
