import type { ClientBase, Pool } from 'pg';

/**
 * Says, once, that values of these columns are taken as the stream sends them, because it is not certain which columns of
 * MariaDB they are: the mirror is to be compared when it is. The watcher does; without one `afterimage status` shows it.
 */
export async function noteLeftOut(
  client: Pick<ClientBase | Pool, 'query'>,
  streamId: string,
  columns: readonly string[],
): Promise<void> {
  const detail = `values of ${columns.join(', ')} were not read from MariaDB: columns were renamed or moved, and it was not known yet which these are`;
  await client.query(
    `INSERT INTO afterimage.detected_changes (stream_id, kind, detail, policy, state)
     SELECT $1, 'renamed', $2, 'resync', 'open' WHERE NOT EXISTS
       (SELECT FROM afterimage.detected_changes WHERE stream_id = $1 AND detail = $2 AND state = 'open')`,
    [streamId, detail],
  );
}
