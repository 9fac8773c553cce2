import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import {
  bigint,
  boolean,
  column,
  datetime,
  double,
  enumOf,
  int,
  type ModelColumn,
  money,
  text,
  timestamp,
  unsignedBigint,
  varchar,
} from './columns.js';
import { LiveTable, type LiveChange } from './live-tables.js';
import { RowPool } from './row-pool.js';
import type { ModelRow, ModelTableOptions } from './source-model.js';

const database = 'shop';

const status = enumOf('new', 'paid', 'packed', 'shipped', 'returned');
const statuses = ['new', 'paid', 'packed', 'shipped', 'returned'] as const;

/** The live tables: keys of one and two columns, and a table without any. */
export const shopTables = {
  customers: {
    database,
    table: 'customers',
    key: ['id'],
    columns: [
      column('id', int),
      column('name', varchar),
      column('email', varchar),
      column('balance', money),
      column('vip', boolean),
      column('note', text),
      column('seen_at', timestamp),
    ],
  },
  orders: {
    database,
    table: 'orders',
    key: ['id'],
    columns: [
      column('id', bigint),
      column('customer_id', int),
      column('status', status),
      column('total', money),
      column('tracking', unsignedBigint),
      column('memo', varchar),
      column('placed_at', datetime),
    ],
  },
  items: {
    database,
    table: 'order_items',
    key: ['order_id', 'line'],
    columns: [
      column('order_id', bigint),
      column('line', int),
      column('product', varchar),
      column('quantity', int),
      column('price', money),
    ],
  },
  views: {
    database,
    table: 'page_views',
    key: null,
    columns: [column('path', varchar), column('country', varchar), column('took_ms', double)],
  },
} as const satisfies Record<string, ModelTableOptions>;

const names = [
  'Ada',
  'Bjørn',
  'Chloë',
  'Dmitri',
  'Élodie',
  'Fatima',
  'Giulia',
  '浩然',
  'Ines',
  'Jürgen',
  'Κατερίνα',
  'Łukasz',
];
const products = [
  'lamp',
  'chair',
  'desk',
  'rug',
  'mirror',
  'shelf',
  'mug',
  'kettle 1.7 l',
  'clock “Ora”',
  'poster 50×70',
];
const notes = ['', 'calls back\non Monday', 'likes "quotes" and \\ too', 'pays late', '🎁 gift wrap', 'tab\there'];
const countries = ['DE', 'FR', 'PT', 'PL', 'GR'];

const maxViews = 1500;

/** A small shop at work. Each call of `next` is one transaction; the same seed gives the same shop. */
export class Shop {
  readonly customers: LiveTable;
  readonly orders: LiveTable;
  readonly items: LiveTable;
  readonly views: LiveTable;
  readonly #random: () => number;
  readonly #customers = new RowPool();
  readonly #orders = new RowPool();
  readonly #views = new RowPool();
  readonly #itemsOf = new Map<number, ModelRow[]>();
  #nextCustomer = 1;
  #nextOrder = 1;

  constructor(maxscale: FakeMaxScale, random: () => number) {
    this.#random = random;
    this.customers = new LiveTable(maxscale, shopTables.customers);
    this.orders = new LiveTable(maxscale, shopTables.orders);
    this.items = new LiveTable(maxscale, shopTables.items);
    this.views = new LiveTable(maxscale, shopTables.views);
  }

  get tables(): readonly LiveTable[] {
    return [this.customers, this.orders, this.items, this.views];
  }

  /** One transaction, as row images over one or several tables. `now` is Unix seconds. */
  next(now: number): LiveChange[] {
    const dice = this.#random();
    if (this.#customers.size < 50 || dice < 0.08) return this.#addCustomer(now);
    if (dice < 0.4) return this.#placeOrder(now);
    if (dice < 0.65) return this.#advanceOrder();
    if (dice < 0.72) return this.#dropOrder();
    if (dice < 0.8) return this.#touchCustomer(now);
    if (dice < 0.82) return this.#renumberCustomer();
    return this.#viewPage();
  }

  /** A transaction of many rows: the stock that was there before. */
  load(count: number, now: number): LiveChange[] {
    return Array.from({ length: count }, () => this.#addCustomer(now)).flat();
  }

  /** ALTER TABLE orders ADD coupon text AFTER status, MODIFY customer_id bigint */
  alterOrders(): void {
    this.orders.alter((columns) =>
      columns.flatMap((each): ModelColumn[] => {
        if (each.id === 'status') return [each, column('coupon', text)];
        return [each.id === 'customer_id' ? { ...each, type: bigint } : each];
      }),
    );
  }

  /** ALTER TABLE customers CHANGE note remark text */
  renameNote(): void {
    this.customers.alter((columns) => columns.map((each) => (each.id === 'note' ? { ...each, name: 'remark' } : each)));
  }

  /** One row into every table, so that what was altered takes effect. */
  touchAll(now: number): LiveChange[] {
    return [...this.#addCustomer(now), ...this.#placeOrder(now), ...this.#viewPage()];
  }

  #pick<T>(choices: readonly [T, ...T[]] | readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }

  #addCustomer(now: number): LiveChange[] {
    const id = this.#nextCustomer++;
    const row: ModelRow = {
      id,
      name: `${this.#pick(names)} ${id}`,
      email: this.#random() < 0.1 ? null : `customer${id}@shop.example`,
      balance: Math.floor(this.#random() * 200_000) - 50_000,
      vip: this.#random() < 0.1 ? 1 : 0,
      note: this.#pick(notes),
      seen_at: formatSecond(now),
    };
    this.#customers.add(row);
    return this.customers.inserted(row);
  }

  #placeOrder(now: number): LiveChange[] {
    const id = this.#nextOrder++;
    const customer = this.#customers.pick(this.#random);
    const lines = 1 + Math.floor(this.#random() * 3);
    const items = Array.from({ length: lines }, (_, index): ModelRow => ({
      order_id: id,
      line: index + 1,
      product: this.#pick(products),
      quantity: 1 + Math.floor(this.#random() * 5),
      price: 100 + Math.floor(this.#random() * 30_000),
    }));
    const total = items.reduce((sum, item) => sum + Number(item['quantity']) * Number(item['price']), 0);
    const order: ModelRow = {
      id,
      customer_id: customer['id'] ?? null,
      status: 'new',
      coupon: this.#hasCoupons && this.#random() < 0.3 ? `SAVE${10 + (id % 20)}` : null,
      total,
      tracking: null,
      memo: this.#random() < 0.2 ? 'ring twice' : null,
      placed_at: formatSecond(now),
    };
    this.#orders.add(order);
    this.#itemsOf.set(id, items);
    const paid: ModelRow = { ...customer, balance: Number(customer['balance']) - total };
    this.#customers.replace(customer, paid);
    return [
      ...this.orders.inserted(order),
      ...items.flatMap((item) => this.items.inserted(item)),
      ...this.customers.updated(customer, paid),
    ];
  }

  get #hasCoupons(): boolean {
    return this.orders.model.columns.some(({ id }) => id === 'coupon');
  }

  #advanceOrder(): LiveChange[] {
    if (this.#orders.size === 0) return this.#viewPage();
    const before = this.#orders.pick(this.#random);
    const step = Math.min(statuses.length - 1, statuses.indexOf(before['status'] as 'new') + 1);
    const after: ModelRow = {
      ...before,
      status: statuses[step] ?? 'new',
      tracking: (2n ** 63n + BigInt(Math.floor(this.#random() * 2 ** 40))).toString(),
    };
    this.#orders.replace(before, after);
    return this.orders.updated(before, after);
  }

  #dropOrder(): LiveChange[] {
    if (this.#orders.size < 20) return this.#viewPage();
    const order = this.#orders.pick(this.#random);
    const id = Number(order['id']);
    const items = this.#itemsOf.get(id) ?? [];
    this.#orders.remove(order);
    this.#itemsOf.delete(id);
    return [...items.flatMap((item) => this.items.deleted(item)), ...this.orders.deleted(order)];
  }

  #touchCustomer(now: number): LiveChange[] {
    const before = this.#customers.pick(this.#random);
    const after: ModelRow = {
      ...before,
      note: this.#pick(notes),
      seen_at: formatSecond(now),
      vip: 1 - Number(before['vip']),
    };
    this.#customers.replace(before, after);
    return this.customers.updated(before, after);
  }

  /** UPDATE of the primary key. */
  #renumberCustomer(): LiveChange[] {
    const before = this.#customers.pick(this.#random);
    const after: ModelRow = { ...before, id: this.#nextCustomer++ };
    this.#customers.replace(before, after);
    return this.customers.updated(before, after);
  }

  /** Rows of this table come twice and more; one of several equal ones is deleted or changed at times. */
  #viewPage(): LiveChange[] {
    const row: ModelRow = {
      path: `/${this.#pick(products).split(' ')[0] ?? ''}`,
      country: this.#pick(countries),
      took_ms: Math.floor(this.#random() * 40) / 8,
    };
    if (this.#views.size < maxViews || this.#random() < 0.3) {
      this.#views.add(row);
      return this.views.inserted(row);
    }
    const before = this.#views.pick(this.#random);
    if (this.#random() < 0.5) {
      this.#views.remove(before);
      return this.views.deleted(before);
    }
    this.#views.replace(before, row);
    return sameValues(before, row) ? [] : this.views.updated(before, row);
  }
}

function sameValues(a: ModelRow, b: ModelRow): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function formatSecond(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
}
