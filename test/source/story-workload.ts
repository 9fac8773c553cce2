import { parseMariadbUrl } from '@afterimage/mariadb';
import { type Connection, createConnection } from 'mariadb';
import { setTimeout as sleep } from 'node:timers/promises';
import { Dice } from '../faults/dice.js';
import type { StoryTable } from './story-tables.js';

/** What a changing definition, another session or a crash of MariaDB does to a statement. */
const expectedErrors = new Set([
  1032, // the row went meanwhile
  1020, // the row changed meanwhile
  1048, // NOT NULL by now
  1053, // server shutdown
  1054, // no such column by now
  1062, // duplicate key
  1146, // no such table by now
  1205, // lock wait timeout
  1213, // deadlock
  1406, // too long by now
  1412, // the definition changed within the transaction
  1526, // no such partition
]);

/** Transactions over all tables, on one session that comes back when MariaDB does, until it is told to end. */
export class StoryWorkload {
  commits = 0;
  readonly #url: string;
  readonly #tables: readonly StoryTable[];
  readonly #rows: number;
  readonly #pauseMs: number;
  #running = true;
  readonly #done: Promise<void>;

  constructor(options: { url: string; tables: readonly StoryTable[]; rows: number; seed: number; pauseMs: number }) {
    this.#url = options.url;
    this.#tables = options.tables;
    this.#rows = options.rows;
    this.#pauseMs = options.pauseMs;
    this.#done = this.#run(new Dice(options.seed));
    // It is awaited at the end.
    this.#done.catch(() => undefined);
  }

  async end(): Promise<void> {
    this.#running = false;
    await this.#done;
  }

  async #run(dice: Dice): Promise<void> {
    let connection: Connection | null = null;
    try {
      while (this.#running) {
        connection ??= await this.#connect();
        if (connection === null) continue;
        try {
          await this.#transact(connection, dice);
        } catch (error) {
          const { errno = 0, fatal, sql } = error as { errno?: number; fatal?: boolean; sql?: string };
          if (fatal !== true && errno < 45_000 && !expectedErrors.has(errno))
            throw new Error(`${errno} ${sql}`, { cause: error });
          const isOver: boolean = await connection.rollback().then(
            () => false,
            () => true,
          );
          if (isOver) {
            connection.destroy();
            connection = null;
          }
        }
        // Time for those who follow.
        await sleep(this.#pauseMs);
      }
    } finally {
      await connection?.end().catch(() => undefined);
    }
  }

  /** Null when MariaDB is not there. */
  async #connect(): Promise<Connection | null> {
    try {
      const connection = await createConnection({
        ...parseMariadbUrl(this.#url),
        database: 'shop',
        connectTimeout: 2000,
      });
      connection.on('error', () => undefined);
      await connection.query(`SET SESSION sql_mode = '', innodb_lock_wait_timeout = 2, lock_wait_timeout = 30`);
      return connection;
    } catch {
      await sleep(100);
      return null;
    }
  }

  async #transact(connection: Connection, dice: Dice): Promise<void> {
    await connection.beginTransaction();
    for (let n = dice.between(1, 5); n > 0; n--)
      await connection.query(dice.pick(this.#tables).change(dice, this.#rows));
    if (dice.chance(0.1)) return connection.rollback();
    await connection.commit();
    this.commits += 1;
  }
}
