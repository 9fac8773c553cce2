import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mariadbMissing } from '../harness/mariadb.js';
import { createReplica, type Source, startSource } from './snapshot-rig.js';

describe.skipIf(await mariadbMissing('private'))('a snapshot', () => {
  let source: Source;
  beforeAll(async () => {
    source = await startSource();
  }, 60_000);
  afterAll(async () => source.stop());

  it('has the rows that were there before, from which a stream that starts later goes on', async () => {
    await source.connection.query(
      `CREATE DATABASE before_reader; USE before_reader;
       CREATE TABLE orders (id int PRIMARY KEY, name varchar(20), amount int unsigned);
       INSERT INTO orders SELECT seq * 3, CONCAT('order\\t', seq), 4294967295 - seq FROM seq_1_to_1000;`,
    );
    const replica = await createReplica(source, 'before_reader', [{ name: 'orders', key: ['id'] }]);
    try {
      const result = await replica.snapshot('orders');
      expect(result).toMatchObject({ kind: 'adopted', rows: 1000, attempts: 1 });
      await replica.expectEqual();
      await source.connection.query(
        `UPDATE orders SET amount = 1 WHERE id = 3; DELETE FROM orders WHERE id = 6; INSERT INTO orders VALUES (1, 'new', 2);`,
      );
      replica.start('reader', 'writer');
      await replica.expectEqual();
      const { rows } = await replica.database.pool.query(
        `SELECT event_type, count(*)::int AS n FROM before_reader_history.orders GROUP BY 1 ORDER BY 1`,
      );
      expect(rows).toEqual([
        { event_type: 'insert', n: 1 },
        { event_type: 'update_before', n: 1 },
        { event_type: 'update_after', n: 1 },
        { event_type: 'delete', n: 1 },
        { event_type: 'read', n: 1000 },
      ]);
    } finally {
      await replica.drop();
    }
  }, 60_000);
});
