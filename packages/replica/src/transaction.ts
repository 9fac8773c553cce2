import type { ClientBase, Pool, PoolClient } from 'pg';

/**
 * Lends `work` a connection. One that broke while it was lent is not given back to the pool; that it broke shows in
 * the next query on it, so the event it emits besides is taken here: without a listener it would end the process.
 */
export async function withConnection<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  let broken = false;
  const onError = (): void => {
    broken = true;
  };
  const client = await borrow(pool, onError);
  try {
    return await work(client);
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/**
 * Listens from the moment on at which the pool stops to. With the promise that `connect` gives there is a gap: what a
 * server sends together with its first "ready", as when it is killed, arrives before whoever awaits goes on.
 */
function borrow(pool: Pool, onError: (error: Error) => void): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error ?? new Error('the pool gave no connection'));
      client.on('error', onError);
      resolve(client);
    });
  });
}

/** Ends a transaction that failed. Where the connection is gone PostgreSQL has done so itself. */
export async function rollBack(client: PoolClient): Promise<void> {
  await client.query('ROLLBACK').catch(() => undefined);
}

/** Runs `work` in one transaction: committed when it returns, rolled back when it throws. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  return withConnection(pool, async (client) => {
    try {
      await client.query('BEGIN');
      const result = await work(client);
      await client.query('COMMIT');
      return result;
    } catch (error) {
      await rollBack(client);
      throw error;
    }
  });
}

/**
 * Values have the same text until the transaction ends, whatever role, database and pool say. A writer's pool sets this
 * for all its connections.
 */
export async function fixTextForms(client: ClientBase): Promise<void> {
  const forms = { datestyle: 'ISO', timezone: 'UTC', intervalstyle: 'postgres', extra_float_digits: '1' };
  await client.query(`SELECT set_config(name, value, true) FROM json_each_text($1) AS s(name, value)`, [
    JSON.stringify(forms),
  ]);
}
