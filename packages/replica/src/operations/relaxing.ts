import type { ClientBase, Pool } from 'pg';
import { type Relaxation, findRelaxation, relaxMirror } from '../schema/relax.js';
import { isRowRefused } from '../errors.js';
import { inTransaction } from '../transaction.js';
import { type CurrentOptions, loadCurrent } from './current.js';

/**
 * Runs `work`, which writes rows to a mirror, in one transaction; where a constraint of MariaDB's that the mirror has refuses
 * them, it is relaxed and `work` runs again. It is given what was relaxed: a schema version that it makes must do without.
 */
export async function inRelaxingTransaction<T>(
  pool: Pool,
  stream: Omit<CurrentOptions, 'lock'>,
  work: (client: ClientBase, relaxed: readonly Relaxation[]) => Promise<T>,
): Promise<T> {
  const relaxed: Relaxation[] = [];
  for (;;) {
    try {
      return await inTransaction(pool, (client) => work(client, relaxed));
    } catch (error) {
      const relaxation = await relax(pool, stream, { error, relaxed });
      if (relaxation === null) throw error;
      relaxed.push(relaxation);
    }
  }
}

async function relax(
  pool: Pool,
  options: Omit<CurrentOptions, 'lock'>,
  { error, relaxed }: { readonly error: unknown; readonly relaxed: readonly Relaxation[] },
): Promise<Relaxation | null> {
  if (!isRowRefused(error)) return null;
  return inTransaction(pool, async (client) => {
    const current = await loadCurrent(client, { ...options, lock: true });
    const relaxation = findRelaxation(current, error, relaxed);
    if (relaxation !== null) await relaxMirror(client, { ...current, streamId: options.stream.id }, relaxation);
    return relaxation;
  });
}
