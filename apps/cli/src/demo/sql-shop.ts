import type { Connection } from 'mariadb';

/** The tables of the shop, each with what a stream alone does not tell: keys, labels, exact types, defaults, comments. */
export const sqlTables: Readonly<Record<string, string>> = {
  customers: `CREATE TABLE customers (
    id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    token uuid NOT NULL DEFAULT UUID() COMMENT 'what the customer is called elsewhere',
    name varchar(60) NOT NULL,
    email varchar(80) NULL UNIQUE,
    tier enum('basic','silver','gold') NOT NULL DEFAULT 'basic',
    interests set('books','garden','kitchen','music') NOT NULL DEFAULT '',
    balance decimal(20,4) NOT NULL DEFAULT 0 COMMENT 'what we owe, in euro',
    settings json NULL,
    seen_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
  ) COMMENT 'people who have bought something'`,
  products: `CREATE TABLE products (
    sku varchar(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name varchar(60) NOT NULL,
    price decimal(10,2) NOT NULL,
    stock int unsigned NOT NULL DEFAULT 0,
    marks bit(6) NOT NULL DEFAULT b'0' COMMENT 'fragile, heavy, cold, gift, new, last',
    picture varbinary(16) NULL
  ) COMMENT 'what we sell'`,
  orders: `CREATE TABLE orders (
    id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id int unsigned NOT NULL,
    status enum('new','paid','packed','shipped') NOT NULL DEFAULT 'new',
    total decimal(12,2) NOT NULL,
    memo text NULL,
    placed_at datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    KEY by_customer (customer_id)
  )`,
  order_items: `CREATE TABLE order_items (
    order_id bigint unsigned NOT NULL,
    line tinyint unsigned NOT NULL,
    sku varchar(12) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    quantity smallint NOT NULL,
    price decimal(10,2) NOT NULL,
    PRIMARY KEY (order_id, line)
  )`,
  page_views: `CREATE TABLE page_views (path varchar(40), country char(2), took_ms double) COMMENT 'without a key'`,
};

/** Their primary keys. */
export const sqlKeys: Readonly<Record<string, readonly string[] | null>> = {
  customers: ['id'],
  products: ['sku'],
  orders: ['id'],
  order_items: ['order_id', 'line'],
  page_views: null,
};

export const stock = { customers: 300, products: 40, orders: 250, views: 200 };

/** What the shop holds before anything streams. */
const stockStatements = [
  `INSERT INTO customers (name, email, tier, interests, balance, settings, seen_at)
   SELECT CONCAT(ELT(1 + seq % 6, 'Ada', 'Bjørn', 'Chloë', '浩然', 'Łukasz', 'Κατερίνα'), ' ', seq),
          IF(seq % 9 = 0, NULL, CONCAT('customer', seq, '@shop.example')), 1 + seq % 3, seq % 16,
          (CAST(seq AS int) - 120) * 1234567.8901, JSON_OBJECT('news', seq % 2 = 0, 'language', ELT(1 + seq % 3, 'de', 'fr', 'pt')),
          TIMESTAMPADD(MICROSECOND, seq * 86399123000, '2025-01-01')
   FROM seq_1_to_${stock.customers}`,
  `INSERT INTO products
   SELECT CONCAT('SKU-', LPAD(seq, 4, '0')), ELT(1 + seq % 5, 'lamp', 'kettle 1.7 l', 'clock “Ora”', 'poster 50×70', 'mug'),
          seq * 3.19, seq * 25, seq % 64, UNHEX(MD5(seq))
   FROM seq_1_to_${stock.products}`,
  `INSERT INTO orders (customer_id, status, total, memo, placed_at)
   SELECT 1 + seq * 7 % ${stock.customers}, 1 + seq % 4, seq * 17.05, IF(seq % 5 = 0, CONCAT('line one\\nline two 🎁 ', seq), NULL),
          TIMESTAMPADD(MICROSECOND, seq * 43200654321, '2025-06-01')
   FROM seq_1_to_${stock.orders}`,
  `INSERT INTO order_items
   SELECT o.seq, i.seq, CONCAT('SKU-', LPAD(1 + (o.seq * 3 + i.seq) % ${stock.products}, 4, '0')), i.seq, o.seq * 1.25
   FROM seq_1_to_${stock.orders} o JOIN seq_1_to_3 i ON i.seq <= 1 + o.seq % 3`,
  `INSERT INTO page_views
   SELECT ELT(1 + seq % 4, '/', '/cart', '/lamps', '/clocks'), ELT(1 + seq % 3, 'DE', 'FR', 'PT'), seq % 20 / 7
   FROM seq_1_to_${stock.views}`,
];

export const sqlDatabase = 'shop';

/** Makes the shop and fills it. Resolves with the number of rows. */
export async function createSqlShop(connection: Connection): Promise<number> {
  await connection.query(`CREATE DATABASE ${sqlDatabase} CHARACTER SET utf8mb4`);
  await connection.query(`USE ${sqlDatabase}`);
  for (const statement of Object.values(sqlTables)) await connection.query(statement);
  let rows = 0;
  for (const statement of stockStatements) {
    const { affectedRows } = await connection.query<{ affectedRows: number }>(statement);
    rows += affectedRows;
  }
  return rows;
}
