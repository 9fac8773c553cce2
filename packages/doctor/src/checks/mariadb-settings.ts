import type { SourceConfig } from '@afterimage/service';
import type { MariadbFacts } from '../facts/mariadb.js';
import { type Check, failure, notice, ok, type Outcome, unknown, warning } from '../finding.js';
import { formatBytes, formatDuration, isBefore, parseVersion } from '../texts.js';

/** A server and what the configuration says of the MaxScale before it. */
export interface MariadbSubject {
  readonly server: MariadbFacts;
  readonly config: SourceConfig;
}

const dayInSeconds = 86_400;

export const mariadbSettingChecks: readonly Check<MariadbSubject>[] = [
  {
    name: 'mariadb-version',
    look: ({ server: { version } }) =>
      isBefore(parseVersion(version), [10, 5])
        ? failure(`version ${version}: before 10.5 what MariaDB knows of its tables cannot be read`, 'upgrade MariaDB')
        : ok(`version ${version}`),
  },
  {
    name: 'binlog',
    look: ({ server }) =>
      isOn(server, 'log_bin')
        ? ok('the binary log is on')
        : failure(
            'there is no binary log: MaxScale has nothing to read',
            'log_bin = mariadb-bin under [mariadb] of the server, then restart it',
          ),
  },
  {
    name: 'binlog-format',
    look: ({ server }) =>
      expectValue(server, 'binlog_format', 'ROW', 'changes logged as statements never reach the stream'),
  },
  {
    name: 'binlog-row-image',
    look: ({ server }) => expectValue(server, 'binlog_row_image', 'FULL', 'other images never reach the stream'),
  },
  {
    name: 'gtid-strict-mode',
    look: ({ server }) =>
      isOn(server, 'gtid_strict_mode')
        ? ok('GTIDs are strict')
        : warning(
            'gtid_strict_mode is off: a transaction whose number is not above the last one would be taken for a repetition and dropped',
            setGlobally('gtid_strict_mode', 'ON'),
          ),
  },
  {
    name: 'gtid-domains',
    look: ({ server: { binlogPosition } }) => {
      const domains = (binlogPosition ?? '').split(',').filter((gtid) => gtid !== '');
      if (domains.length < 2) return ok('one replication domain');
      return notice(
        `transactions of ${domains.length} replication domains (${binlogPosition}): between domains there is no order`,
        'let one domain write each table (gtid_domain_id)',
      );
    },
  },
  { name: 'binlog-retention', look: ({ server }) => checkRetention(server) },
  {
    name: 'binlog-filter',
    look: ({ server: { variables } }) => {
      const filters = ['binlog_do_db', 'binlog_ignore_db'].filter((name) => (variables[name] ?? '') !== '');
      if (filters.length === 0) return null;
      const texts = filters.map((name) => `${name} = ${variables[name]}`);
      return warning(
        `${texts.join(', ')}: databases that are left out of the binary log never reach the stream`,
        'remove the setting, or make sure that no replicated database is left out',
      );
    },
  },
  {
    name: 'max-allowed-packet',
    look: ({ server: { variables }, config: { maxLineBytes } }) => {
      const packet = Number(variables['max_allowed_packet'] ?? 0);
      // A row of binary values becomes twice as long as JSON.
      if (packet * 2 <= maxLineBytes) return ok(`max_allowed_packet ${formatBytes(packet)}`);
      return notice(
        `max_allowed_packet is ${formatBytes(packet)}: a row of that size may be longer as JSON than maxLineBytes (${formatBytes(maxLineBytes)}), and would stop its stream (LINE_TOO_LONG)`,
        `maxLineBytes: ${Math.min(packet * 2, 512 * 1024 * 1024)} for this source, if there are such rows`,
      );
    },
  },
  { name: 'server-time-zone', look: checkTimeZone },
];

function isOn({ variables }: MariadbFacts, name: string): boolean {
  return /^(?:on|1)$/i.test(variables[name] ?? '');
}

function setGlobally(name: string, value: string): string {
  return `SET GLOBAL ${name} = ${value}; and ${name} = ${value} under [mariadb] for the next start`;
}

function expectValue(server: MariadbFacts, name: string, wanted: string, meaning: string): Outcome {
  const value = server.variables[name] ?? '';
  if (value.toUpperCase() === wanted) return ok(`${name} is ${wanted}`);
  return failure(
    `${name} is ${value}: ${meaning}`,
    `${setGlobally(name, wanted)}; sessions that are open keep the old value`,
  );
}

function checkRetention({ variables }: MariadbFacts): Outcome {
  const days = Number(variables['expire_logs_days'] ?? 0);
  const seconds = Number(variables['binlog_expire_logs_seconds'] ?? days * dayInSeconds);
  if (seconds === 0) {
    return notice('binary logs are kept for ever: they fill the disk in the end', 'SET GLOBAL expire_logs_days = 14');
  }
  if (seconds >= 2 * dayInSeconds) return ok(`binary logs are kept for ${formatDuration(seconds)}`);
  return warning(
    `binary logs are kept for ${formatDuration(seconds)}: when MaxScale is down for longer, changes are lost without a word`,
    setGlobally('expire_logs_days', '14'),
  );
}

/** TIMESTAMP values arrive in MaxScale's zone, not the server's; but the two are rarely set apart on purpose. */
function checkTimeZone({ server, config: { timeZone } }: MariadbSubject): Outcome {
  const { variables, zoneOffsetSeconds: offset } = server;
  const zone = variables['time_zone'] === 'SYSTEM' ? variables['system_time_zone'] : variables['time_zone'];
  if (offset === null) {
    return unknown(
      `the server's time zone ${zone} is in no table of the server's`,
      'mariadb-tzinfo-to-sql /usr/share/zoneinfo | mariadb mysql',
    );
  }
  const configured = offsetOf(timeZone, new Date());
  if (offset === configured) return ok(`server time zone ${zone}, as timeZone ${timeZone} of MaxScale`);
  return notice(
    `the server's time zone is ${zone}, but timeZone of MaxScale is configured as ${timeZone}: right only if MaxScale's host is in that zone`,
    'run `date +%Z` where MaxScale runs; set timeZone of the source to it',
  );
}

/** How far a zone is east of UTC at a moment, in seconds. */
export function offsetOf(timeZone: string, at: Date): number {
  const parts = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' }).formatToParts(at);
  const text = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
  const [, sign = '+', hours = '0', minutes = '0'] = /GMT([+-])(\d+):(\d+)/.exec(text) ?? [];
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
}
