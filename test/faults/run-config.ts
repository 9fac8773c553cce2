import type { Network } from './network.js';
import type { Dice } from './dice.js';
import type { Pipeline, Role } from './pipeline.js';
import { tableSettings } from './source-model.js';

/** The part of a configuration that says where the servers are. */
export interface RunConfig {
  readonly postgres: { readonly url: string };
  readonly queue: Settings & { readonly url?: string };
  readonly sources: { readonly main: Settings & { readonly port: number } };
  readonly reader: Settings;
}

type Settings = Readonly<Record<string, unknown>>;

export function portOf(url: string): number {
  return Number(new URL(url).port);
}

/** The configuration of one process: every server is reached through its own proxies. */
export function throughNetwork(config: RunConfig, network: Network, role: Role): unknown {
  const { postgres, queue, sources } = config;
  const sourcePort = role.startsWith('reader') ? network.proxy(role, 'maxscale').port : sources.main.port;
  return {
    ...config,
    postgres: { ...postgres, url: withPort(postgres.url, network.proxy(role, 'postgres').port) },
    queue: queue.url === undefined ? queue : { ...queue, url: withPort(queue.url, network.proxy(role, 'redis').port) },
    sources: { main: { ...sources.main, port: sourcePort } },
  };
}

export interface Configured {
  readonly pipeline: Pipeline;
  readonly network: Network;
  readonly config: RunConfig;
  readonly dice: Dice;
}

/** Processes that are launched from now on divide the tables otherwise. */
export async function configureOtherPartitions({ pipeline, network, config, dice }: Configured): Promise<void> {
  const { main } = config.sources;
  const changed = { ...config, sources: { main: { ...main, tables: tableSettings(dice) } } };
  await pipeline.configure((role) => throughNetwork(changed, network, role));
}

function withPort(url: string, port: number): string {
  const changed = new URL(url);
  changed.port = String(port);
  return changed.href;
}
