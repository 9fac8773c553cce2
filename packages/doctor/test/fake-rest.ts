import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

type Parameters = Record<string, string | number | boolean | null>;

/** What a MaxScale's REST API says; a test changes what it needs. */
export class FakeRest {
  version = '24.02.4';
  user = 'admin';
  password = 'mariadb';
  serviceState = 'Started';
  listenerState = 'Running';
  port = 4001;
  gtid: string | null = null;
  /** East of UTC; undefined: a version whose log has no Unix time. */
  zoneOffsetSeconds: number | undefined = 0;
  parameters: Parameters = {};

  #resources(): Readonly<Record<string, unknown>> {
    const parameters: Parameters = {
      avrodir: '/var/lib/maxscale/avro/',
      block_size: 33_554_432,
      codec: 'null',
      cooperative_replication: false,
      exclude: null,
      group_rows: 1000,
      group_trx: 1,
      gtid_start_pos: null,
      match: null,
      max_data_age: '0s',
      max_file_size: 0,
      password: '*****',
      server_id: 4201,
      user: 'maxscale',
      ...this.parameters,
    };
    const service = {
      id: 'avro-service',
      type: 'services',
      attributes: {
        connections: 0,
        parameters,
        router: 'avrorouter',
        router_diagnostics: { infofile: '/var/lib/maxscale/avro/avro-conversion.ini', gtid: this.gtid ?? '' },
        started: 'Sun Nov 22 10:00:00 2026',
        state: this.serviceState,
        total_connections: 3,
      },
    };
    const other = {
      id: 'read-write',
      type: 'services',
      attributes: { router: 'readwritesplit', state: 'Started', parameters: { user: 'app' }, router_diagnostics: {} },
    };
    const listener = {
      id: 'avro-listener',
      type: 'listeners',
      attributes: {
        parameters: { address: '::', port: this.port, protocol: 'CDC', service: 'avro-service', ssl: false },
        state: this.listenerState,
      },
    };
    return {
      '/v1/maxscale': {
        data: { id: 'maxscale', type: 'maxscale', attributes: { version: this.version, uptime: 3600 } },
      },
      '/v1/services': { data: [service, other] },
      '/v1/listeners': { data: [listener] },
      '/v1/maxscale/logs/data': { data: { id: 'log', type: 'log', attributes: { log: [this.#logEntry()] } } },
    };
  }

  #logEntry(): object {
    const now = Math.floor(Date.now() / 1000);
    const local = new Date((now + (this.zoneOffsetSeconds ?? 0)) * 1000);
    return {
      id: '39',
      message: 'Started MaxScale',
      priority: 'notice',
      timestamp: local.toISOString().slice(0, 19).replace('T', ' '),
      ...(this.zoneOffsetSeconds === undefined ? {} : { unix_timestamp: now }),
    };
  }

  /** Serves it on a free port of 127.0.0.1. */
  async start(): Promise<{ readonly url: string; stop(): Promise<void> }> {
    const server = createServer((request, response) => {
      const given = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString();
      const found = this.#resources()[new URL(request.url ?? '/', 'http://host').pathname];
      if (given !== `${this.user}:${this.password}`) response.writeHead(401).end();
      else if (found === undefined) response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(found));
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => {
          server.close(resolve);
        });
      },
    };
  }
}
