import type { ClientBase } from 'pg';
import type { Batch } from '@afterimage/change-events';
import { applySchemaChange, isInForce } from '../schema/change.js';
import { type TargetSchema, targetSchema } from '../schema/target.js';
import { type SchemaVersion, keyNames, loadVersion } from '../schema/versions.js';
import { type ReplicaNames, replicaNames } from '../names.js';
import type { TableSettings } from '../settings.js';
import type { LockedOffset } from './offset.js';
import { type ApplyStatement, type StatementOptions, applyStatement } from './statement.js';

type Variant = Pick<StatementOptions, 'nul' | 'mirror' | 'offset'>;

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
      const key = `${variant.nul} ${variant.mirror} ${variant.offset}`;
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
export function isDividedByKey(
  { schema }: Pick<Batch, 'schema'>,
  { partitionKey }: Pick<LockedOffset, 'partitionKey'>,
  key: readonly string[] | null,
): boolean {
  const present = new Set(schema.fields.map(({ name }) => name));
  return partitionKey?.every((name) => key?.includes(name) || !present.has(name)) ?? true;
}

type SchemaSource = Pick<Batch, 'stream' | 'schema' | 'firstOrdinal' | 'firstTimestamp'>;

/** What one process remembers of a stream between batches. It is only a cache: the offset row decides. */
export class StreamContext {
  readonly settings: TableSettings;
  readonly names: ReplicaNames;
  #ready: ReadySchema | null = null;

  constructor(settings: TableSettings) {
    this.settings = settings;
    this.names = replicaNames(settings.mirror, settings.historySuffix);
  }

  /** The schema in force, `current` by the locked offset row, made ready; null when it is not the one of the batch. */
  async prepare(client: ClientBase, batch: SchemaSource, current: number): Promise<ReadySchema | null> {
    const known = this.#ready;
    if (known !== null && known.version.version === current && known.version.fingerprint === batch.schema.fingerprint)
      return known;
    const version = await loadVersion(client, batch.stream.id, current);
    const target = targetSchema(batch.schema.fields, this.settings);
    if (version === null || !isInForce(version, target, batch.schema.fingerprint)) return null;
    return readySchema({ version, target, names: this.names, isNew: false });
  }

  /**
   * While a stream is still divided by another key than the configured one, the key in force holds: the reader divides it
   * anew once all partitions have been applied up to the same event.
   */
  async underDivision(client: ClientBase, batch: SchemaSource, offset: LockedOffset): Promise<StreamContext> {
    if (isDividedByKey(batch, offset, this.settings.key)) return this;
    const version = await loadVersion(client, batch.stream.id, offset.schemaVersion);
    const key = version === null ? null : keyNames(version);
    if (key === null || !isDividedByKey(batch, offset, key)) return this;
    return new StreamContext({ ...this.settings, key });
  }

  /** Changes mirror and history to the schema of the batch, in the caller's transaction, which has all offset rows locked. */
  async change(client: ClientBase, batch: SchemaSource, current: number): Promise<ReadySchema> {
    const { settings, names } = this;
    const target = targetSchema(batch.schema.fields, settings);
    const before = await loadVersion(client, batch.stream.id, current);
    // What the configuration changed holds from this batch on, what the source changed from its first event on.
    const { since, fingerprint } = batch.schema;
    const firstOrdinal = before?.fingerprint === fingerprint ? batch.firstOrdinal : since;
    const change = { batch: { ...batch, firstOrdinal }, current: before, target, settings, names };
    const version = await applySchemaChange(client, change);
    return readySchema({ version, target, names, isNew: true });
  }

  /** To be called when the transaction that made it ready has been committed. */
  remember(ready: ReadySchema): void {
    this.#ready = { ...ready, isNew: false };
  }
}
