import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LocalPostgres, findFreePort, startPostgres } from '@afterimage/local-servers';
import { FaultProxy } from '../harness/fault-proxy.js';
import { runAdmin } from './databases.js';
import { SmallDisk } from './small-disk.js';
import { copyCluster, waitUntilSynchronous } from './standby.js';

const startDeadlineMs = 60_000;
const retryMs = 100;
const forgottenMs = 700;
const settings = {
  fsync: 'on',
  max_connections: 200,
  shared_buffers: '64MB',
  restart_after_crash: 'on',
  // A standby that starts takes what it lacks from the primary.
  wal_keep_size: '256MB',
};

/** One PostgreSQL of the pair: where its files are, and where it listens. */
interface Cluster {
  readonly data: string;
  readonly port: number;
  /** Holds the databases of the runs; null where no disk of its own could be made. */
  readonly disk: SmallDisk | null;
}

/**
 * A PostgreSQL that survives being killed, as one in production: it writes to disk, and its address stays. It can be
 * followed by a standby, which then has its address.
 */
export class RestartablePostgres {
  readonly #folder: string;
  readonly #front: FaultProxy;
  #cluster: Cluster;
  #running: LocalPostgres | undefined;
  #changes: Promise<void> = Promise.resolve();
  #count = 1;
  #isForgetting = false;

  private constructor(folder: string, front: FaultProxy, cluster: Cluster) {
    this.#folder = folder;
    this.#front = front;
    this.#cluster = cluster;
  }

  static async start(): Promise<RestartablePostgres> {
    const folder = await mkdtemp(join(tmpdir(), 'afterimage-faults-'));
    // Started by root, PostgreSQL runs as another user, which must be able to enter.
    await chmod(folder, 0o711);
    const port = await findFreePort();
    const cluster = { data: join(folder, 'data-1'), port, disk: await SmallDisk.make(join(folder, 'disk-1')) };
    const postgres = new RestartablePostgres(folder, await FaultProxy.start({ targetPort: port }), cluster);
    await postgres.#start();
    if (cluster.disk !== null) {
      await cluster.disk.give(cluster.data);
      await runAdmin(postgres.adminUrl, `CREATE TABLESPACE small LOCATION '${cluster.disk.path}'`);
    }
    return postgres;
  }

  /** Always the same, whichever of the pair answers. */
  get adminUrl(): string {
    const url = new URL(this.#directUrl);
    url.port = String(this.#front.port);
    return url.href;
  }

  get #directUrl(): string {
    if (this.#running === undefined) throw new Error('PostgreSQL is not running');
    return this.#running.adminUrl;
  }

  get hasOwnDisk(): boolean {
    return this.#cluster.disk !== null;
  }

  /** After a kill a few backends may still be ending; until they are gone a start is refused. */
  async #start(): Promise<void> {
    const until = Date.now() + startDeadlineMs;
    for (;;) {
      try {
        this.#running = await startCluster(this.#cluster);
        return;
      } catch (error) {
        if (Date.now() > until) throw error;
        await sleep(retryMs);
      }
    }
  }

  /** Ends it by SIGINT (a fast shutdown) or by SIGKILL and starts it after a pause. Changes asked for at once take turns. */
  restart(how: 'stop' | 'kill', pauseMs: number): Promise<void> {
    return this.#change(async () => {
      if (how === 'kill') await this.#kill();
      else await this.#running?.stop();
      await sleep(pauseMs);
      await this.#start();
    });
  }

  /** Whether some commits may be lost soon. */
  get isForgetting(): boolean {
    return this.#isForgetting;
  }

  /**
   * Makes a standby, waits until commits wait for it, kills the primary and promotes the standby after a pause. A `late`
   * standby lacks what was committed in the last moments.
   */
  failOver(pauseMs: number, standbyIs: 'complete' | 'late'): Promise<void> {
    return this.#change(async () => {
      const { next, standby } = await this.#follow();
      const former = this.#cluster;
      if (standbyIs === 'late') await this.#leaveBehind(standby);
      await this.#kill();
      await sleep(pauseMs);
      this.#cluster = next;
      this.#running = standby;
      await runAdmin(standby.adminUrl, 'SELECT pg_promote(true, 30)');
      this.#front.targetPort = next.port;
      this.#front.cut();
      this.#isForgetting = false;
      await rm(former.data, { recursive: true, force: true });
      await former.disk?.remove();
    });
  }

  /** The primary goes on without it. */
  async #leaveBehind(standby: LocalPostgres): Promise<void> {
    this.#isForgetting = true;
    await runAdmin(standby.adminUrl, `ALTER SYSTEM SET primary_conninfo = ''`);
    await runAdmin(standby.adminUrl, 'SELECT pg_reload_conf()');
    await runAdmin(this.#directUrl, 'ALTER SYSTEM RESET synchronous_standby_names');
    await runAdmin(this.#directUrl, 'SELECT pg_reload_conf()');
    await sleep(forgottenMs);
  }

  /** A standby without which nothing is committed any more. */
  async #follow(): Promise<{ next: Cluster; standby: LocalPostgres }> {
    const number = (this.#count += 1);
    const disk = this.#cluster.disk === null ? null : await SmallDisk.make(join(this.#folder, `disk-${number}`));
    const next: Cluster = { data: join(this.#folder, `data-${number}`), port: await findFreePort(), disk };
    let standby: LocalPostgres | undefined;
    try {
      await copyCluster({ url: this.#directUrl, from: this.#cluster, to: next });
      standby = await startCluster(next);
      await waitUntilSynchronous(this.#directUrl);
      return { next, standby };
    } catch (error) {
      await standby?.stop();
      await rm(next.data, { recursive: true, force: true });
      await disk?.remove();
      // Nobody may wait for a standby that is not there.
      await this.#makeSure();
      await runAdmin(this.#directUrl, 'ALTER SYSTEM RESET synchronous_standby_names');
      await runAdmin(this.#directUrl, 'SELECT pg_reload_conf()');
      throw error;
    }
  }

  /** Nothing more can be stored for a while. Does nothing where there is no disk of its own. */
  fillDisk(lastingMs: number): Promise<void> {
    return this.#change(async () => {
      const { disk } = this.#cluster;
      await disk?.fill();
      await sleep(lastingMs);
      await disk?.empty();
      await this.#makeSure();
    });
  }

  /** A recovery that found no room gave up; somebody starts it again when there is some. */
  async #makeSure(): Promise<void> {
    const until = Date.now() + startDeadlineMs;
    for (;;) {
      const works = await runAdmin(this.#directUrl, 'SELECT 1').then(
        () => true,
        () => false,
      );
      if (works) return;
      if (Date.now() > until) throw new Error('PostgreSQL does not come back');
      if (await this.#isGone()) await this.#start();
      await sleep(retryMs);
    }
  }

  async #isGone(): Promise<boolean> {
    try {
      process.kill(await this.#postmaster(), 0);
      return false;
    } catch {
      return true;
    }
  }

  #change(work: () => Promise<void>): Promise<void> {
    this.#changes = this.#changes.catch(() => undefined).then(work);
    return this.#changes;
  }

  async #postmaster(): Promise<number> {
    return Number.parseInt(await readFile(join(this.#cluster.data, 'postmaster.pid'), 'utf8'), 10);
  }

  /** SIGKILL of the postmaster; its backends notice and end. */
  async #kill(): Promise<void> {
    const pid = await this.#postmaster().catch(() => null);
    if (pid !== null) process.kill(pid, 'SIGKILL');
    await this.#running?.stop();
  }

  async remove(): Promise<void> {
    await this.#changes.catch(() => undefined);
    await this.#running?.stop();
    this.#front.close();
    await this.#cluster.disk?.remove();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

function startCluster({ data, port }: Cluster): Promise<LocalPostgres> {
  return startPostgres({ dataDir: data, port, persistent: true, settings });
}
