import type { Queryable } from '@afterimage/mariadb';
import type { ClientBase, Pool } from 'pg';
import type { Batch } from '@afterimage/change-events';
import { followRecords, hasUncertainOrigin } from '../schema/origins.js';
import type { NewSchema } from './applier.js';
import type { Learned, Prepared, ReadySchema, StreamContext } from './context.js';
import { noteLeftOut } from './left-out.js';
import {
  findLost,
  type KnownNow,
  type LookupOptions,
  type Lookups,
  lookUp,
  namesOfLookups,
  needsLookups,
} from './lookup.js';
import { lockAllOffsets, type LockedOffset } from './offset.js';
import { type Relaxation, findRelaxation, relaxMirror } from '../schema/relax.js';
import { learnTable, loadNewest } from './source.js';

/** How a batch is tried. */
export interface Mode {
  /** `isolated`: PostgreSQL refused a row of it, which is to be found. */
  readonly rows: 'whole' | 'isolated';
  /** `stream`: it crosses a barrier, so all partitions of its stream are locked. */
  readonly lock: 'partition' | 'stream';
  /** MariaDB can be asked. */
  readonly canAsk: boolean;
  readonly learned?: Learned;
  readonly lookups?: Lookups;
  /** Constraints of the mirror that rows of this batch do not keep. */
  readonly relaxed?: readonly Relaxation[];
  /** A schema that this batch brought into force in an attempt before. */
  readonly newSchema?: NewSchema;
}

/** Why a batch must be tried in another mode. What MariaDB is asked for is asked while nothing is locked. */
export type Again =
  | { readonly kind: 'refused' }
  | { readonly kind: 'barrier' }
  /** By a constraint of the mirror that its rows need not keep. */
  | { readonly kind: 'to-relax'; readonly relaxation: Relaxation; readonly ready: ReadySchema }
  | { readonly kind: 'unknown-table' }
  /** With a schema that came into force in this attempt, which is committed by itself. */
  | { readonly kind: 'unknown-values'; readonly ready: ReadySchema; readonly newSchema?: NewSchema };

export interface Questions {
  /** What the schema of the last batch lets expect, which saves an attempt. */
  beforehand(): Promise<Pick<Mode, 'lookups' | 'learned'>>;
  aboutTable(): Promise<Pick<Mode, 'learned'>>;
  /** `learned` instead, where another schema comes first: columns were renamed. */
  aboutValues(ready: ReadySchema): Promise<Pick<Mode, 'lookups' | 'learned'>>;
}

export function createQuestions(
  pool: Pool,
  source: Queryable | undefined,
  batch: Batch,
  context: StreamContext,
): Questions | null {
  const { settings } = context;
  if (source === undefined || !settings.hasSource) return null;
  const aboutValues = (ready: ReadySchema) => readValues({ pool, source, batch, ready, settings }, context);
  return {
    async aboutTable() {
      const learned = await learnTable(pool, source, batch);
      context.asked();
      return { learned: learned ?? { knowledge: null } };
    },
    aboutValues,
    async beforehand() {
      const { last } = context;
      const isSame = last !== null && last.version.fingerprint === batch.schema.fingerprint;
      return isSame && needsLookups(last) && batch.count > 0 ? aboutValues(last) : {};
    },
  };
}

/** How often a table may be altered while its rows are asked for. */
const tries = 3;

/**
 * Where MariaDB has other columns than the schema knows, they are read under the names that they have now. If that cannot
 * be told of all of them, none is read: the values of the stream stand, and it is noted that they do.
 */
async function readValues(options: LookupOptions, context: StreamContext): Promise<Pick<Mode, 'lookups' | 'learned'>> {
  const { pool, source, batch, ready } = options;
  const first = await lookUp(options, context.namesNow(ready.version));
  if (first.kind === 'found') return { lookups: first.lookups };
  for (let left = tries; left > 0; left -= 1) {
    const learned = await learnTable(pool, source, batch);
    if (learned?.isOfRows === true && learned.knowledge.id !== ready.version.knowledge?.id) return { learned };
    const now = await findNames(options);
    if (now === null) return noValues(ready);
    const again = await lookUp(options, now);
    if (again.kind === 'other-table') continue;
    context.keepNames(ready.version, now);
    return { lookups: again.lookups };
  }
  await noteLeftOut(pool, batch.stream.id, namesOfLookups(ready));
  return noValues(ready);
}

const noValues = ({ version }: ReadySchema): Pick<Mode, 'lookups'> => ({
  lookups: { version: version.version, found: '[]' },
});

/** Null where it cannot be told under which names the columns are to be read: it is noted that they are not. */
async function findNames({ pool, batch, ready }: LookupOptions): Promise<KnownNow | null> {
  const { knowledge } = ready.version;
  const newest = await loadNewest(pool, batch.stream);
  if (newest === null || knowledge === null) return null;
  const columns = await followRecords(pool, knowledge.id, newest.id);
  const lost = findLost(ready, columns);
  if (lost.length === 0) return { ...newest, columns };
  await noteLeftOut(pool, batch.stream.id, lost);
  return null;
}

const againKinds: ReadonlySet<string> = new Set<Again['kind']>([
  'refused',
  'barrier',
  'to-relax',
  'unknown-table',
  'unknown-values',
]);

export function isAgain(result: { readonly kind: string }): result is Again {
  return againKinds.has(result.kind);
}

/** What is to be relaxed because of an error, which is thrown where it is another, or has been tried. */
export function relaxOrThrow(ready: ReadySchema | null, error: unknown, { relaxed }: Mode): Again {
  const relaxation = ready === null ? null : findRelaxation(ready, error, relaxed);
  if (ready === null || relaxation === null) throw error;
  return { kind: 'to-relax', relaxation, ready };
}

/** Outside the refused transaction: what came with its schema change went with it. */
export async function relaxFor(
  client: ClientBase,
  { stream }: Batch,
  { ready, relaxation }: Extract<Again, { kind: 'to-relax' }>,
): Promise<void> {
  if (ready.isNew) return;
  await client.query('BEGIN');
  // Somebody else may be at the same batch.
  await lockAllOffsets(client, stream.id);
  await relaxMirror(client, { ...ready, streamId: stream.id }, relaxation);
  await client.query('COMMIT');
}

/** What the next attempt does otherwise. */
export async function changeMode(again: Again, mode: Mode, ask: Questions | null): Promise<Partial<Mode>> {
  switch (again.kind) {
    case 'refused':
      return { rows: 'isolated' };
    case 'barrier':
      return { lock: 'stream' };
    case 'to-relax':
      return { lock: 'stream', relaxed: [...(mode.relaxed ?? []), again.relaxation] };
    case 'unknown-table':
      return { ...(await ask?.aboutTable()) };
    case 'unknown-values': {
      const newSchema = again.newSchema ?? mode.newSchema;
      return { ...(newSchema && { newSchema }), ...(await ask?.aboutValues(again.ready)) };
    }
  }
}

/** Whether MariaDB has to be asked first: about the table when its columns are new, about the values that are looked up. */
export function judgeKnown(
  context: StreamContext,
  { prepared, offset, mode }: { prepared: Prepared; offset: LockedOffset; mode: Mode },
): Again | undefined {
  if (!mode.canAsk) return undefined;
  if (mode.learned === undefined && isUnknown(context, prepared, offset)) return { kind: 'unknown-table' };
  if (prepared.kind === 'stale' || !needsLookups(prepared.schema)) return undefined;
  const isAsked = mode.lookups?.version === prepared.schema.version.version;
  return isAsked ? undefined : { kind: 'unknown-values', ready: prepared.schema };
}

function isUnknown({ mayAsk }: StreamContext, prepared: Prepared, { knowledgeId }: LockedOffset): boolean {
  return isOfOtherShape(prepared) || (mayAsk && (knowledgeId === null || isUncertain(prepared)));
}

function isUncertain(prepared: Prepared): boolean {
  return prepared.kind === 'ready' && hasUncertainOrigin(prepared.schema.version);
}

function isOfOtherShape(prepared: Prepared): boolean {
  return prepared.kind === 'stale' && !prepared.isSameShape;
}
