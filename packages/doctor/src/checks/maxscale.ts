import type { SourceConfig } from '@afterimage/service';
import type { MariadbFacts } from '../facts/mariadb.js';
import type { AvroService, RestFacts } from '../facts/rest.js';
import { type Check, failure, notice, ok, type Outcome, warning } from '../finding.js';
import { isBefore, parseVersion, formatBytes } from '../texts.js';
import { offsetOf } from './mariadb-settings.js';
import { parseSize } from './source-tables.js';

export interface MaxscaleSubject {
  readonly config: SourceConfig;
  readonly rest: RestFacts;
  readonly server: MariadbFacts | undefined;
}

/** The first release of each series that does not skip rows which are not valid UTF-8. */
const leastVersions: readonly (readonly [number, number, number])[] = [
  [22, 8, 13],
  [23, 2, 10],
  [23, 8, 6],
  [24, 2, 2],
];
const firstDeprecated = [24, 8];
const lastWithCdc = [25, 1];

export const maxscaleChecks: readonly Check<MaxscaleSubject>[] = [
  { name: 'maxscale-version', look: ({ rest }) => checkVersion(rest.version) },
  {
    name: 'avro-service',
    look: ({ rest: { services } }) =>
      services.length > 0
        ? services.map(checkState)
        : failure('no service has router=avrorouter: there is nothing to stream', 'see docs/source.md for one'),
  },
  { name: 'cdc-listener-service', look: checkListener },
  { name: 'block-size', look: ({ rest }) => rest.services.map(checkBlockSize) },
  { name: 'file-age', look: ({ rest }) => rest.services.flatMap(checkAge) },
  {
    name: 'group-transactions',
    look: ({ rest }) =>
      rest.services.flatMap(({ id, parameters: { group_trx: count = '1' } }) =>
        Number(count) > 1
          ? [notice(`${id} keeps changes back until ${count} transactions have come (group_trx)`, 'group_trx=1')]
          : [],
      ),
  },
  {
    name: 'cooperative',
    look: ({ rest }) =>
      rest.services.flatMap(({ id, parameters: { cooperative_replication: value } }) =>
        value === 'true'
          ? [
              notice(
                `${id} takes turns with other MaxScales (cooperative_replication): each numbers its files in its own way`,
                'read each of them as a source of its own, or only one',
              ),
            ]
          : [],
      ),
  },
  { name: 'maxscale-time-zone', look: checkZone },
  {
    name: 'conversion',
    look: ({ rest, server }) => rest.services.flatMap((service) => checkConversion(service, server)),
  },
];

function checkVersion(version: string): Outcome {
  const parsed = parseVersion(version);
  const series = leastVersions.find(([major, minor]) => parsed[0] === major && parsed[1] === minor);
  if (isBefore(lastWithCdc, parsed.slice(0, 2))) {
    return failure(`MaxScale ${version} has no CDC listener any more`, 'use MaxScale 24.02');
  }
  if (isBefore(parsed, series ?? leastVersions[0] ?? [])) {
    const least = (series ?? leastVersions[0] ?? []).map((part, at) =>
      at === 1 ? String(part).padStart(2, '0') : part,
    );
    return failure(
      `MaxScale ${version} silently skips rows that are not valid UTF-8`,
      `upgrade to ${least.join('.')} or later, best 24.02`,
    );
  }
  if (!isBefore(parsed, firstDeprecated)) {
    return notice(
      `MaxScale ${version}: its CDC listener is deprecated since 24.08, and gone after 25.01`,
      'stay on this series, or go to 24.02, for as long as the stream is read',
    );
  }
  return ok(`MaxScale ${version}`);
}

function checkState({ id, state }: AvroService): Outcome {
  return /^started$/i.test(state)
    ? ok(`service ${id} is started`)
    : failure(`service ${id} is ${state}`, `maxctrl start service ${id}`);
}

function checkListener({ config, rest: { listeners } }: MaxscaleSubject): Outcome {
  const listener = listeners.find(({ port }) => port === config.port);
  if (listener === undefined) {
    const ports = listeners.map(({ id, port }) => `${id} on ${port}`);
    return warning(
      `no CDC listener of this MaxScale has port ${config.port} (${ports.join(', ') || 'there is none'}): the REST API may be another MaxScale's`,
      'compare host, port and rest.url of the source',
    );
  }
  if (/^running$/i.test(listener.state)) return ok(`listener ${listener.id} is running`);
  return failure(`listener ${listener.id} is ${listener.state}`, `maxctrl start listener ${listener.id}`);
}

const smallBlock = 1024 * 1024;

function checkBlockSize({ id, parameters: { block_size: text } }: AvroService): Outcome {
  const bytes = parseSize(text);
  if (bytes >= smallBlock) return ok(`block_size of ${id} is ${formatBytes(bytes)}`);
  return warning(
    `block_size of ${id} is ${bytes === 0 ? 'the default of 16 KiB' : formatBytes(bytes)}: one longer row ends its table's stream for good`,
    'block_size=32Mi of the service in maxscale.cnf; files that are there keep their size',
  );
}

/** Files that go while the reader is away are changes that are lost. */
function checkAge({ id, parameters: { max_data_age: text = '0' } }: AvroService): Outcome[] {
  const seconds = parseDuration(text);
  if (seconds === 0) return [ok(`${id} keeps its files`)];
  if (seconds >= 7 * 86_400) return [];
  return [
    warning(
      `${id} removes files after ${text} (max_data_age): a reader that stands for longer loses changes, and a backup that is older cannot be restored`,
      'max_data_age above the age of the oldest backup, or leave it out',
    ),
  ];
}

/** `0`, `86400`, `604800000ms`, `24h`. */
function parseDuration(text: string): number {
  const [, digits = '0', unit = 's'] = /^(\d+)\s*(ms|s|min|m|h)?/.exec(text) ?? [];
  const seconds: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600 };
  return Number(digits) * (seconds[unit] ?? 1);
}

function checkZone({ config: { timeZone }, rest: { zoneOffsetSeconds: offset } }: MaxscaleSubject): Outcome {
  if (offset === null) {
    return notice(
      `MaxScale does not tell its time zone; TIMESTAMP values are read as ${timeZone}`,
      'run `date +%Z` where MaxScale runs, and set timeZone of the source to it',
    );
  }
  if (offset === offsetOf(timeZone, new Date())) return ok(`MaxScale's time zone is ${timeZone}, as configured`);
  const hours = offset / 3600;
  return failure(
    `MaxScale's clock is at UTC${hours < 0 ? '' : '+'}${hours}, but timeZone is ${timeZone}: every TIMESTAMP is off`,
    'run MaxScale with TZ=UTC, or set timeZone of the source to its zone',
  );
}

/** How many transactions MaxScale has not converted yet, by domain. */
function checkConversion({ id, gtid }: AvroService, server: MariadbFacts | undefined): Outcome[] {
  if (gtid === null) return [notice(`${id} has not converted a transaction yet`, null)];
  if (server === undefined || server.binlogPosition === null) return [];
  const converted = readPosition(gtid);
  const behind = [...readPosition(server.binlogPosition)].reduce((count, [domain, sequence]) => {
    const reached = converted.get(domain) ?? 0n;
    return count + (sequence > reached ? sequence - reached : 0n);
  }, 0n);
  if (behind === 0n) return [ok(`${id} has converted everything up to ${gtid}`)];
  const text = `${id} is ${behind.toLocaleString('en-US')} transactions behind MariaDB (${gtid} of ${server.binlogPosition})`;
  if (behind < 10_000n) return [ok(text)];
  return [
    warning(
      text,
      'look again in a minute: if it does not shrink, read maxscale.log (a lost connection, purged binary logs, a slow disk)',
    ),
  ];
}

/** Domain → sequence. */
export function readPosition(gtids: string): Map<string, bigint> {
  const parts = gtids.split(',').map((gtid) => /^\s*(\d+)-\d+-(\d+)/.exec(gtid));
  return new Map(parts.flatMap((part) => (part === null ? [] : [[part[1] ?? '', BigInt(part[2] ?? '0')]])));
}
