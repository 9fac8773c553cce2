import type { ClientBase } from 'pg';
import type { Batch } from '@afterimage/change-events';
import { type SchemaChange, applySchemaChange, isInForce } from '../schema/change.js';
import { type TargetSchema, isKeyLeftOut, targetSchema } from '../schema/target.js';
import { type Followed, type Origin, type OriginEvidence, findOrigins, followRecords } from '../schema/origins.js';
import { StreamHalted, sqlState } from '../errors.js';
import { type KnowledgeRecord, type SchemaVersion, keyNames, loadKnowledge, loadVersion } from '../schema/versions.js';
import { type ReplicaNames, replicaNames } from '../names.js';
import type { TableSettings } from '../settings.js';
import { noteLeftOut } from './left-out.js';
import type { KnownNow } from './lookup.js';
import type { LockedOffset } from './offset.js';
import { type ApplyStatement, type StatementOptions, applyStatement } from './statement.js';

type Variant = Pick<StatementOptions, 'nul' | 'mirror' | 'offset' | 'lookup'>;

/** A schema version made ready to apply batches: its mappings and its statements, built once. */
export interface ReadySchema {
  readonly version: SchemaVersion;
  readonly target: TargetSchema;
  readonly names: ReplicaNames;
  /** Whether this schema came into force just now. */
  readonly isNew: boolean;
  statement(variant: Variant): ApplyStatement;
}

interface SchemaParts {
  readonly version: SchemaVersion;
  readonly target: TargetSchema;
  readonly names: ReplicaNames;
  readonly isNew: boolean;
}

export function readySchema({ version, target, names, isNew }: SchemaParts): ReadySchema {
  const statements = new Map<string, ApplyStatement>();
  return {
    version,
    target,
    names,
    isNew,
    statement(variant) {
      const key = `${variant.nul} ${variant.mirror} ${variant.offset} ${variant.lookup}`;
      const known = statements.get(key);
      if (known !== undefined) return known;
      const built = applyStatement({ names, version, columns: target.columns, ...variant });
      statements.set(key, built);
      return built;
    },
  };
}

/**
 * Rows with the same key must come through the same partition, or their order is lost. A column that the rows do not have
 * (it was renamed or dropped) divides none of them.
 */
function isDividedByKey(
  { schema }: Pick<Batch, 'schema'>,
  { partitionKey }: Pick<LockedOffset, 'partitionKey'>,
  key: readonly string[] | null,
): boolean {
  const present = new Set(schema.fields.map(({ name }) => name));
  return partitionKey?.every((name) => key?.includes(name) || !present.has(name)) ?? true;
}

type SchemaSource = Pick<Batch, 'stream' | 'schema' | 'firstOrdinal' | 'firstTimestamp'>;

/** What was found out about a stream for one batch, outside its transaction. */
export interface Learned {
  /** What MariaDB says of the table; null = nothing more than was known. */
  readonly knowledge: KnowledgeRecord | null;
  /** Whether the table was so when the rows were written. */
  readonly isOfRows?: boolean;
  /** Whether nothing else was seen of it between then and that. */
  readonly isNear?: boolean;
  /** The schema where mirror and history are that become the stream's; absent: they are created. */
  readonly prepared?: string;
}

/** `stale`: the batch needs another schema version; `isSameShape`: although its fields are those of the version in force. */
export type Prepared =
  | { readonly kind: 'ready'; readonly schema: ReadySchema }
  | { readonly kind: 'stale'; readonly isSameShape: boolean };

interface TargetEvidence {
  readonly version: SchemaVersion | null;
  readonly knowledge: KnowledgeRecord | null;
  readonly origins: readonly Origin[];
}

/** What of that is to be heeded: while the fields stay as they are, only what is known to have held for the rows. */
function judgeNews(
  version: SchemaVersion | null,
  fingerprint: string,
  learned: Partial<Learned> | undefined,
): Partial<Learned> | null {
  if (learned === undefined || (learned.knowledge ?? null) === null) return null;
  const isKnown = version !== null && version.fingerprint === fingerprint && version.knowledge !== null;
  return isKnown && learned.isOfRows !== true ? null : learned;
}

function isKnownSo({ knowledge }: SchemaVersion, news: Partial<Learned> | null, offset: LockedOffset): boolean {
  return (knowledge?.id ?? null) === (news?.knowledge?.id ?? offset.knowledgeId);
}

function findOriginsOf(
  { schema }: Pick<Batch, 'schema'>,
  { version, knowledge, ...evidence }: Omit<TargetEvidence, 'origins'> & Omit<OriginEvidence, 'table' | 'before'>,
): Origin[] {
  if (knowledge === null) return [];
  return findOrigins(schema.fields, { ...evidence, table: knowledge.table, before: version });
}

const sameColumns = ({ knowledge }: SchemaVersion): Followed =>
  new Map(knowledge?.table.columns.map((column) => [column.name, column]));

async function followKnowledge(
  client: ClientBase,
  before: SchemaVersion | null,
  knowledge: KnowledgeRecord | null,
): Promise<Followed> {
  const former = before?.knowledge ?? null;
  if (before === null || former === null || knowledge === null) return new Map();
  return former.id === knowledge.id ? sameColumns(before) : followRecords(client, former.id, knowledge.id);
}

const askAgainMs = 30_000;

/** What one process remembers of a stream between batches. It is only a cache: the offset row decides. */
export class StreamContext {
  readonly settings: TableSettings;
  readonly names: ReplicaNames;
  #ready: { readonly schema: ReadySchema; readonly division: string } | null = null;
  #quietUntil = 0;
  #names: { readonly knowledgeId: string | undefined; readonly now: KnownNow } | null = null;

  constructor(settings: TableSettings) {
    this.settings = settings;
    this.names = replicaNames(settings.mirror, settings.historySuffix);
  }

  /** Whether to ask for a table that MariaDB did not have when it was asked last: not with every batch. */
  get mayAsk(): boolean {
    return Date.now() >= this.#quietUntil;
  }

  asked(): void {
    this.#quietUntil = Date.now() + askAgainMs;
  }

  /** What the table was called when rows were looked up last, where the schema version knows other names. */
  namesNow({ knowledge }: SchemaVersion): KnownNow | undefined {
    return this.#names?.knowledgeId === knowledge?.id ? this.#names?.now : undefined;
  }

  keepNames({ knowledge }: SchemaVersion, now: KnownNow): void {
    this.#names = { knowledgeId: knowledge?.id, now };
  }

  /** The schema that was in force for the last batch. */
  get last(): ReadySchema | null {
    return this.#ready?.schema ?? null;
  }

  /** The schema in force by the locked offset row, made ready, where it is the one that the batch needs. */
  async prepare(
    client: ClientBase,
    batch: SchemaSource,
    offset: LockedOffset,
    learned: Learned | undefined,
  ): Promise<Prepared> {
    const { fingerprint } = batch.schema;
    const known = this.#recall(offset);
    const version = known?.version ?? (await loadVersion(client, batch.stream.id, offset.schemaVersion));
    if (version === null) return { kind: 'stale', isSameShape: false };
    const isSameShape = version.fingerprint === fingerprint;
    const news = judgeNews(version, fingerprint, learned);
    if (!isSameShape || !isKnownSo(version, news, offset)) return { kind: 'stale', isSameShape };
    const isOfRows = news?.isOfRows === true;
    if (known !== null && !isOfRows) return { kind: 'ready', schema: known };
    const target = this.#targetInForce(batch, offset, { version, isOfRows });
    if (!isInForce(version, target, fingerprint)) return { kind: 'stale', isSameShape };
    return { kind: 'ready', schema: readySchema({ version, target, names: this.names, isNew: false }) };
  }

  /** What the mirror should look like under what the version knows, under the settings of now. */
  #targetInForce(
    batch: SchemaSource,
    offset: LockedOffset,
    { version, isOfRows }: { version: SchemaVersion; isOfRows: boolean },
  ): TargetSchema {
    const { knowledge } = version;
    const evidence = { version, knowledge, isOfRows, isNear: true, followed: sameColumns(version) };
    return this.#findTarget(batch, offset, { version, knowledge, origins: findOriginsOf(batch, evidence) });
  }

  /** What was made ready before, where the offset row names the same version and division. */
  #recall(offset: LockedOffset): ReadySchema | null {
    const { schema = null, division = '' } = this.#ready ?? {};
    return schema?.version.version === offset.schemaVersion && division === divisionOf(offset) ? schema : null;
  }

  /** Changes mirror and history to the schema of the batch, in the caller's transaction, which has all offset rows locked. */
  async change(
    client: ClientBase,
    batch: SchemaSource,
    offset: LockedOffset,
    learned: Partial<Learned> & Pick<SchemaChange, 'relaxed'> & { readonly origins?: readonly Origin[] },
  ): Promise<ReadySchema> {
    const { settings, names } = this;
    const before = await loadVersion(client, batch.stream.id, offset.schemaVersion);
    const news = judgeNews(before, batch.schema.fingerprint, learned);
    const knowledge = news?.knowledge ?? (await loadKnowledge(client, offset.knowledgeId));
    const followed = await followKnowledge(client, before, knowledge);
    const { isOfRows = false, isNear = true } = news ?? {};
    const evidence = { version: before, knowledge, isOfRows, isNear, followed };
    const origins = learned.origins ?? findOriginsOf(batch, evidence);
    const target = this.#findTarget(batch, offset, { version: before, knowledge, origins });
    // What the configuration changed holds from this batch on, what the source changed from its first event on.
    const { since, fingerprint } = batch.schema;
    const firstOrdinal = before?.fingerprint === fingerprint ? batch.firstOrdinal : since;
    const change = {
      batch: { ...batch, firstOrdinal },
      current: before,
      target,
      settings,
      names,
      knowledge,
      followed,
      prepared: learned.prepared,
      relaxed: learned.relaxed,
    };
    return this.#bringAbout(client, { ...change, origins }, isDividedByKey(batch, offset, null));
  }

  /** Where the key is none of the configuration's and the mirror's rows do not have it, without one. */
  async #bringAbout(
    client: ClientBase,
    { origins, ...change }: SchemaChange & { readonly origins: readonly Origin[] },
    isUndivided: boolean,
  ): Promise<ReadySchema> {
    const { settings, target, knowledge, prepared } = change;
    const isKeyNeeded = settings.key !== null || target.key === null || !isUndivided;
    if (isKeyNeeded || prepared !== undefined) return this.#make(client, change);
    await client.query('SAVEPOINT keyed');
    try {
      return await this.#make(client, change);
    } catch (error) {
      if (!isKeyRefused(error)) throw error;
      await client.query('ROLLBACK TO SAVEPOINT keyed');
      const { fields } = change.batch.schema;
      const keyless = targetSchema(fields, settings, knowledge?.table ?? null, {
        isKeyless: true,
        isDivided: !isUndivided,
        origins,
      });
      return this.#make(client, { ...change, target: keyless });
    }
  }

  async #make(client: ClientBase, change: SchemaChange): Promise<ReadySchema> {
    const version = await applySchemaChange(client, change);
    const leftOut = change.target.columns.filter(({ isLeftOut }) => isLeftOut).map(({ name }) => name);
    if (leftOut.length > 0) await noteLeftOut(client, change.batch.stream.id, leftOut);
    return readySchema({ version, target: change.target, names: this.names, isNew: true });
  }

  /**
   * While a stream is still divided by another key than the wanted one, the key in force holds: the reader divides it anew
   * once all partitions have been applied up to the same event.
   */
  #findTarget(
    batch: SchemaSource,
    offset: LockedOffset,
    { version, knowledge, origins }: TargetEvidence,
  ): TargetSchema {
    const { fields, fingerprint } = batch.schema;
    const { settings } = this;
    const table = knowledge?.table ?? null;
    const isKeyless = isKeyLeftOut(version, { fingerprint, knowledge, settings });
    const isDivided = offset.partitionKey !== null;
    const wanted = targetSchema(fields, settings, table, { isKeyless, isDivided, origins });
    const wantedKey = keyNames(wanted);
    if (isDividedByKey(batch, offset, wantedKey)) return wanted;
    const key = version === null ? null : keyNames(version);
    if (key !== null && isDividedByKey(batch, offset, key))
      return targetSchema(fields, { ...settings, key }, table, { isDivided, origins });
    throw dividedOtherwise(offset, wantedKey);
  }

  /** To be called when the transaction that made it ready has been committed. */
  remember(ready: ReadySchema, offset: LockedOffset): void {
    this.#ready = { schema: { ...ready, isNew: false }, division: divisionOf(offset) };
  }
}

function divisionOf({ partitionKey }: LockedOffset): string {
  return JSON.stringify(partitionKey);
}

/**
 * Whether rows of the mirror do not have the key that is known: those that a key of numbers of its own was added to, of which
 * no event tells, or those of before the source was made to have it.
 */
function isKeyRefused(error: unknown): boolean {
  const state = error instanceof StreamHalted ? sqlState(error.cause) : undefined;
  return state === '23502' || state === '23505';
}

function dividedOtherwise({ partitionKey }: LockedOffset, key: readonly string[] | null): StreamHalted {
  const divided = `the stream is divided by (${partitionKey?.join(', ')}), but the key is (${key?.join(', ')})`;
  return new StreamHalted('PARTITION_KEY_DIFFERS', `${divided}: restart the reader with the same configuration`);
}
