import type { ConnectionConfig } from 'mariadb';

const defaultPort = 3306;

/**
 * The connector's options for `mariadb://user:password@host:port/database`. The port (3306) and the database may be
 * missing; parts with special characters are percent-encoded. Values arrive as text or exact: 64-bit integers as bigint,
 * decimals, dates and times as strings, in UTC.
 *
 * Throws TypeError for another form, without repeating the password.
 */
export function parseMariadbUrl(url: string): ConnectionConfig {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !['mariadb:', 'mysql:'].includes(parsed.protocol) || parsed.hostname === '') {
    throw new TypeError('not a MariaDB URL: expected mariadb://user:password@host:port/database');
  }
  const database = decodeURIComponent(parsed.pathname.slice(1));
  return {
    // An IPv6 address stands in brackets in a URL only.
    host: parsed.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: parsed.port === '' ? defaultPort : Number(parsed.port),
    user: decodeURIComponent(parsed.username),
    password: decodeURIComponent(parsed.password),
    ...(database === '' ? {} : { database }),
    charset: 'utf8mb4',
    timezone: 'Z',
    dateStrings: true,
    decimalAsNumber: false,
    bigIntAsNumber: false,
    insertIdAsNumber: false,
  };
}
