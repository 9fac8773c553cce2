import { FaultProxy } from '../harness/fault-proxy.js';
import type { Role } from './pipeline.js';
import { Ambush } from './points.js';
import { watchPostgres } from './postgres-watch.js';
import { watchRedis } from './redis-watch.js';

export type Service = 'postgres' | 'redis' | 'maxscale';

const everyRole: readonly Role[] = ['reader', 'reader-2', 'writer-1', 'writer-2'];

/** What lies between each process and each server: a proxy of its own. */
export class Network {
  readonly #proxies = new Map<string, FaultProxy>();
  readonly #ambushes = new Map<Role, Ambush>();

  /** `ports` of the servers; a null one is not in this run. */
  static async start(ports: Readonly<Record<Service, number | null>>): Promise<Network> {
    const network = new Network();
    for (const role of everyRole) await network.#connect(role, ports);
    return network;
  }

  async #connect(role: Role, ports: Readonly<Record<Service, number | null>>): Promise<void> {
    const ambush = new Ambush();
    this.#ambushes.set(role, ambush);
    const taps = {
      postgres: () => watchPostgres(ambush.watch('postgres')),
      redis: () => watchRedis(ambush.watch('queue')),
      maxscale: undefined,
    };
    for (const service of ['postgres', 'redis', 'maxscale'] as const) {
      const targetPort = ports[service];
      if (targetPort === null || (service === 'maxscale' && role.startsWith('writer'))) continue;
      const tap = taps[service];
      this.#proxies.set(`${role} ${service}`, await FaultProxy.start({ targetPort, ...(tap && { tap }) }));
    }
  }

  /** Throws when there is none: writers do not speak with MaxScale. */
  proxy(role: Role, service: Service): FaultProxy {
    const proxy = this.#proxies.get(`${role} ${service}`);
    if (proxy === undefined) throw new Error(`${role} has no connection to ${service}`);
    return proxy;
  }

  /** All that there are, with their names. */
  get proxies(): [string, FaultProxy][] {
    return [...this.#proxies];
  }

  ambush(role: Role): Ambush {
    const ambush = this.#ambushes.get(role);
    if (ambush === undefined) throw new Error(`no process ${role}`);
    return ambush;
  }

  /** From now on this service is at another port. */
  redirect(service: Service, port: number): void {
    for (const [name, proxy] of this.#proxies) if (name.endsWith(` ${service}`)) proxy.targetPort = port;
  }

  close(): void {
    for (const proxy of this.#proxies.values()) proxy.close();
  }
}
