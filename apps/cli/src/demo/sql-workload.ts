import { sleep } from '@afterimage/service';
import type { Connection } from 'mariadb';
import { createRandom } from './random.js';
import { sqlDatabase, stock } from './sql-shop.js';
import type { SentCounts } from './source-messages.js';

const tickMs = 10;

/** After which share of the time: what no row tells of. Rows that were there get the default without an event. */
const schemaChanges: readonly { readonly share: number; readonly statement: string }[] = [
  { share: 0.35, statement: 'ALTER TABLE customers ADD COLUMN points int NOT NULL DEFAULT 100 AFTER tier' },
  {
    share: 0.65,
    statement: `ALTER TABLE orders MODIFY status enum('new','paid','packed','shipped','returned') NOT NULL DEFAULT 'new'`,
  },
];

export interface SqlWorkloadOptions {
  readonly seconds: number;
  /** Transactions per second, at most. */
  readonly rate: number;
  readonly signal: AbortSignal;
  readonly onAltered: (statement: string) => void;
}

interface Statement {
  readonly table: string;
  readonly sql: string;
}

/** A shop at work: transactions in SQL on one connection, the same ones for the same seed. */
export class SqlWorkload {
  readonly #connection: Connection;
  readonly #random: () => number;
  readonly #sent = new Map<string, number>();
  #finished = false;
  #lastOrder = stock.orders;

  /** `sent`: how many events each table has had until now. The connection must count changed rows, not found ones. */
  constructor(connection: Connection, seed: number, sent: SentCounts) {
    this.#connection = connection;
    this.#random = createRandom(seed);
    for (const [name, count] of Object.entries(sent)) this.#sent.set(name, count);
  }

  /** Row images that MariaDB has written to its binlog for each table: two for an update. */
  get sent(): SentCounts {
    return Object.fromEntries(this.#sent);
  }

  get finished(): boolean {
    return this.#finished;
  }

  async run({ seconds, rate, signal, onAltered }: SqlWorkloadOptions): Promise<void> {
    const changes = [...schemaChanges];
    const startedAt = performance.now();
    const elapsed = (): number => (performance.now() - startedAt) / 1000;
    for (let done = 0; elapsed() < seconds && !signal.aborted;) {
      const [next] = changes;
      if (next !== undefined && next.share <= elapsed() / seconds) {
        changes.shift();
        await this.#connection.query(next.statement);
        onAltered(next.statement);
      }
      if (done < elapsed() * rate) {
        await this.#commit(this.#nextTransaction());
        done += 1;
      } else await sleep(tickMs, signal);
    }
    this.#finished = true;
  }

  async #commit(statements: readonly Statement[]): Promise<void> {
    await this.#connection.beginTransaction();
    const counts: (readonly [string, number])[] = [];
    for (const { table, sql } of statements) {
      const { affectedRows } = await this.#connection.query<{ affectedRows: number }>(sql);
      const images = sql.startsWith('UPDATE') ? 2 * affectedRows : affectedRows;
      counts.push([`${sqlDatabase}.${table}`, images]);
    }
    await this.#connection.commit();
    for (const [name, images] of counts) this.#sent.set(name, (this.#sent.get(name) ?? 0) + images);
  }

  #nextTransaction(): Statement[] {
    const dice = this.#random();
    if (dice < 0.3) return this.#placeOrder();
    if (dice < 0.5) return this.#advanceOrders();
    if (dice < 0.6) return this.#cancelOrder();
    if (dice < 0.75) return this.#changeCustomer();
    if (dice < 0.85) return this.#changeProducts();
    return this.#viewPages();
  }

  #placeOrder(): Statement[] {
    const id = ++this.#lastOrder;
    const lines = Array.from({ length: this.#below(3) + 1 }, (_, index) => {
      const quantity = this.#below(5) + 1;
      return `(${id}, ${index + 1}, '${this.#sku()}', ${quantity}, ${this.#below(30_000) / 100})`;
    });
    return [
      {
        table: 'orders',
        sql: `INSERT INTO orders (id, customer_id, total) VALUES (${id}, ${this.#customer()}, ${this.#below(100_000) / 100})`,
      },
      { table: 'order_items', sql: `INSERT INTO order_items VALUES ${lines.join(', ')}` },
      { table: 'products', sql: `UPDATE products SET stock = stock + 1 WHERE sku = '${this.#sku()}'` },
    ];
  }

  #advanceOrders(): Statement[] {
    const from = this.#below(this.#lastOrder);
    return [
      {
        table: 'orders',
        sql: `UPDATE orders SET status = LEAST(status + 0 + 1, 4), memo = 'on its way 📦' WHERE id BETWEEN ${from} AND ${from + 3}`,
      },
    ];
  }

  #cancelOrder(): Statement[] {
    const id = this.#below(this.#lastOrder) + 1;
    return [
      { table: 'order_items', sql: `DELETE FROM order_items WHERE order_id = ${id}` },
      { table: 'orders', sql: `DELETE FROM orders WHERE id = ${id}` },
    ];
  }

  #changeCustomer(): Statement[] {
    const id = this.#customer();
    const name = `Zoë ${this.#below(1000)}`;
    const changes = [
      `UPDATE customers SET balance = balance - ${this.#below(99_999)}.0001, seen_at = NOW(3) WHERE id = ${id}`,
      `UPDATE customers SET settings = JSON_SET(settings, '$.visits', ${this.#below(1000)}), interests = ${this.#below(16)} WHERE id = ${id}`,
      `UPDATE customers SET tier = ${this.#below(3) + 1} WHERE id BETWEEN ${id} AND ${id + 5}`,
      `INSERT INTO customers (name, email) VALUES ('${name}', NULL), ('${name}', NULL)`,
      `DELETE FROM customers WHERE id = ${id} AND email IS NULL`,
    ];
    return [{ table: 'customers', sql: this.#pick(changes) }];
  }

  #changeProducts(): Statement[] {
    const sku = this.#sku();
    const price = this.#below(100_000) / 100;
    const changes = [
      `INSERT INTO products (sku, name, price) VALUES ('${sku}', 'lamp', ${price}) ON DUPLICATE KEY UPDATE price = ${price}`,
      `REPLACE INTO products VALUES ('${sku}', 'vase', ${price}, 5, b'101', x'00ff00')`,
      `UPDATE products SET marks = marks ^ b'1', picture = NULL WHERE sku = '${sku}'`,
      `UPDATE IGNORE products SET sku = CONCAT('NEW-', RIGHT(sku, 4)) WHERE sku = '${sku}' AND LEFT(sku, 1) = 'S'`,
    ];
    return [{ table: 'products', sql: this.#pick(changes) }];
  }

  /** Rows without a key, some of them equal. */
  #viewPages(): Statement[] {
    const took = this.#below(20);
    const changes = [
      `INSERT INTO page_views VALUES ('/', 'DE', ${took}), ('/', 'DE', ${took}), ('/cart', NULL, ${took} / 7)`,
      `UPDATE page_views SET country = 'PL' WHERE path = '/cart' AND took_ms <= ${took} LIMIT 3`,
      `DELETE FROM page_views WHERE took_ms >= ${took} LIMIT 2`,
    ];
    return [{ table: 'page_views', sql: this.#pick(changes) }];
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick(choices: readonly string[]): string {
    return choices[this.#below(choices.length)] ?? '';
  }

  #customer(): number {
    return this.#below(stock.customers) + 1;
  }

  #sku(): string {
    return `SKU-${String(this.#below(stock.products) + 1).padStart(4, '0')}`;
  }
}
