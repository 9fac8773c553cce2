import type { SourceConfig } from '@afterimage/service';
import { z } from 'zod';

/** What MaxScale's REST API says: https://mariadb.com/kb/en/mariadb-maxscale-2402-rest-api/ */
export interface RestFacts {
  /** `24.02.4` */
  readonly version: string;
  /** Services whose router is avrorouter. */
  readonly services: readonly AvroService[];
  readonly listeners: readonly CdcListener[];
  /** How far its local time is east of UTC; null where its log does not tell. */
  readonly zoneOffsetSeconds: number | null;
}

export interface AvroService {
  readonly id: string;
  readonly state: string;
  /** Settings as text, null ones left out; sizes in bytes, durations as MaxScale writes them. */
  readonly parameters: Readonly<Record<string, string>>;
  /** How far it has converted: GTIDs by commas; null when it does not say. */
  readonly gtid: string | null;
}

export interface CdcListener {
  readonly id: string;
  readonly state: string;
  readonly port: number | null;
  readonly service: string | null;
}

/** MaxScale adds attributes with every version: only what is used is looked at, and little of it is sure to be there. */
const parameters = z.record(z.string(), z.unknown()).catch({});
const maxscaleAnswer = z.object({ data: z.object({ attributes: z.object({ version: z.string() }) }) });
const servicesAnswer = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      attributes: z.object({
        router: z.string().catch(''),
        state: z.string().catch('unknown'),
        parameters,
        router_diagnostics: z.object({ gtid: z.string().nullable().catch(null) }).catch({ gtid: null }),
      }),
    }),
  ),
});
const listenersAnswer = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      attributes: z.object({
        state: z.string().catch('unknown'),
        module: z.string().optional().catch(undefined),
        parameters: z
          .object({
            port: z.number().nullable().catch(null),
            protocol: z.string().catch(''),
            service: z.string().nullable().catch(null),
          })
          .catch({ port: null, protocol: '', service: null }),
      }),
    }),
  ),
});
const logAnswer = z.object({
  data: z.object({
    attributes: z.object({
      log: z.array(z.object({ timestamp: z.string(), unix_timestamp: z.number().optional() })),
    }),
  }),
});

/** Rejects with an Error when the API is away, refuses, or is not MaxScale's. */
export async function readRestFacts(rest: NonNullable<SourceConfig['rest']>, signal: AbortSignal): Promise<RestFacts> {
  const get = async <T>(path: string, answer: z.ZodType<T>): Promise<T> => {
    const found = answer.safeParse(await fetchJson(rest, path, signal));
    if (!found.success) throw new RestError('NOT_MAXSCALE', `its answer to ${path} is not MaxScale's`);
    return found.data;
  };
  const { data: maxscale } = await get('maxscale', maxscaleAnswer);
  const { data: services } = await get('services', servicesAnswer);
  const { data: listeners } = await get('listeners', listenersAnswer);
  const zone = await get('maxscale/logs/data?page[size]=1', logAnswer).then(readZone, () => null);
  return {
    version: maxscale.attributes.version,
    services: services
      .filter(({ attributes }) => attributes.router === 'avrorouter')
      .map(({ id, attributes }) => ({
        id,
        state: attributes.state,
        parameters: readParameters(attributes.parameters),
        gtid: attributes.router_diagnostics.gtid || null,
      })),
    listeners: listeners
      .filter(({ attributes: { module, parameters: given } }) => /^cdc$/i.test(given.protocol || (module ?? '')))
      .map(({ id, attributes }) => ({
        id,
        state: attributes.state,
        port: attributes.parameters.port,
        service: attributes.parameters.service,
      })),
    zoneOffsetSeconds: zone,
  };
}

class RestError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

async function fetchJson(
  { url, user, password }: NonNullable<SourceConfig['rest']>,
  path: string,
  signal: AbortSignal,
): Promise<unknown> {
  const address = new URL(`v1/${path}`, url.endsWith('/') ? url : `${url}/`);
  const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const response = await fetch(address, { signal, headers: { authorization, accept: 'application/json' } });
  if (response.status === 401 || response.status === 403) {
    throw new RestError('REFUSED', `it refuses user ${user} (status ${response.status})`);
  }
  if (!response.ok)
    throw new RestError('STATUS', `it answers /v1/${path.split('?')[0]} with status ${response.status}`);
  return response.json();
}

/** Passwords are settings of a service as well: only these are kept. */
const wanted = [
  'avrodir',
  'block_size',
  'codec',
  'cooperative_replication',
  'exclude',
  'group_rows',
  'group_trx',
  'gtid_start_pos',
  'match',
  'max_data_age',
  'max_file_size',
  'server_id',
  'user',
];

function readParameters(given: Readonly<Record<string, unknown>>): Record<string, string> {
  const kept = wanted.flatMap((name) => {
    const value = given[name];
    const isText = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
    return isText && value !== '' ? [[name, String(value)] as const] : [];
  });
  return Object.fromEntries(kept);
}

/** The log has the local time of each message and, in newer versions, the true one. */
function readZone({ data }: z.infer<typeof logAnswer>): number | null {
  const entry = data.attributes.log.at(-1);
  if (entry?.unix_timestamp === undefined) return null;
  const local = Date.parse(`${entry.timestamp.slice(0, 19).replace(' ', 'T')}Z`);
  if (Number.isNaN(local)) return null;
  // Zones differ by quarters of an hour; the rest is rounding.
  return Math.round((local / 1000 - entry.unix_timestamp) / 900) * 900;
}
