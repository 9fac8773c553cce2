import { describeTableChanges, isStorageReplaced, type TableStorage } from '@afterimage/mariadb';
import {
  loadSourceState,
  type NewChange,
  readAndRecord,
  saveSourceState,
  type SourceState,
  type StreamRecord,
} from '@afterimage/replica';
import type { Config } from '@afterimage/service';
import { readSourcePosition } from '@afterimage/verification';
import type { Pool as SourcePool } from 'mariadb';
import type { Pool } from 'pg';

export interface LookOptions {
  readonly pool: Pool;
  readonly source: SourcePool;
  readonly policies: Config['watcher'];
}

/**
 * Compares a table with how it was at the last look, and records what changed. The storage is read first: rows that are
 * replaced between the two readings are noticed with the next look.
 */
export async function lookAtTable(
  { pool, source, policies }: LookOptions,
  stream: StreamRecord,
  tables: ReadonlyMap<string, TableStorage>,
): Promise<NewChange[]> {
  const { database, table } = stream;
  const knowledge = await readAndRecord(pool, source, { source: stream.source, database, table });
  const after = { storage: tables.get(table) ?? null, knowledge };
  const before = await loadSourceState(pool, stream.id);
  const changes = before === null ? [] : compareStates(before, after, policies);
  const knowledgeId = knowledge?.id ?? null;
  const isNew = changes.length > 0 || before === null || (before.knowledge?.id ?? null) !== knowledgeId;
  // After the look: what the stream has to tell of the time before is part of it.
  const position = isNew ? await readSourcePosition(source) : null;
  await saveSourceState(pool, stream.id, { knowledgeId, storage: after.storage, changes, position });
  return changes;
}

/** What changed between two looks, each with the policy for it. */
function compareStates(before: SourceState, after: SourceState, policies: Config['watcher']): NewChange[] {
  if (after.knowledge === null) {
    if (before.knowledge === null) return [];
    return [{ kind: 'gone', detail: 'the table is not there any more', policy: policies.gone }];
  }
  if (before.knowledge === null) {
    return [{ kind: 'replaced', detail: 'the table is there again', policy: policies.replaced }];
  }
  // As it is kept it has no NULs: what is the same record has not changed.
  const isSame = before.knowledge.id === after.knowledge.id;
  const found = isSame ? [] : describeTableChanges(before.knowledge.table, after.knowledge.table);
  const known = found.map(({ kind, detail }): NewChange => ({
    kind,
    detail,
    policy: kind === 'described' ? 'adopt' : policies[kind],
  }));
  // Without storage but known: it was away when its storage was read, and back when its definition was.
  const isReplaced =
    after.storage !== null && (before.storage === null || isStorageReplaced(before.storage, after.storage));
  // An ALTER TABLE that rewrites the rows gives them another place, too: what it changed has been said.
  if (!isReplaced || known.some(({ kind }) => kind === 'filled' || kind === 'modified')) return known;
  const detail =
    'its rows were replaced or rewritten without an event (TRUNCATE, EXCHANGE PARTITION, ALTER TABLE, OPTIMIZE)';
  return [...known, { kind: 'replaced', detail, policy: policies.replaced }];
}
