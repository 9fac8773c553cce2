import { expect, test } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createDatabase } from '../../../test/harness/databases.js';
import { fillTables } from '../src/copy-target.js';

test('a connection that breaks before its COPY has begun leaves none in the middle of one', async () => {
  const database = await createDatabase();
  const { pool } = database;
  try {
    await pool.query('CREATE TABLE public.rows (id int)');
    const filled = { table: { schema: 'public', table: 'rows' }, columns: ['id'] };
    let lent = 0;
    pool.on('acquire', (client) => {
      lent += 1;
      if (lent === 2)
        (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
    });
    const { signal } = new AbortController();
    const filling = fillTables({ pool, tables: [filled, filled], signal }, (target) =>
      target.write(Buffer.from('1\n')),
    );
    await expect(filling).rejects.toThrow('Connection terminated');
    expect((await pool.query('SELECT id FROM public.rows')).rows).toEqual([]);
  } finally {
    await database.drop();
  }
});

test('a COPY that fails ends the other one, with what PostgreSQL said', async () => {
  const database = await createDatabase();
  const { pool } = database;
  try {
    await pool.query('CREATE TABLE public.rows (id int); CREATE TABLE public.strict (id int CHECK (id < 3))');
    const tables = ['rows', 'strict'].map((table) => ({ table: { schema: 'public', table }, columns: ['id'] }));
    const { signal } = new AbortController();
    const filling = fillTables({ pool, tables, signal }, async (target) => {
      const block = Buffer.from('1\n'.repeat(20_000));
      await target.write(Buffer.from('3\n'));
      for (;;) await target.write(block);
    });
    await expect(filling).rejects.toMatchObject({ code: '23514' });
    expect((await pool.query('SELECT id FROM public.rows')).rows).toEqual([]);
  } finally {
    await database.drop();
  }
});
