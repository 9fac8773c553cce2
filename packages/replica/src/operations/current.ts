import type { ClientBase } from 'pg';
import type { StreamRecord } from '../control/streams.js';
import { type ReplicaNames, replicaNames } from '../names.js';
import { type TargetSchema, targetOf } from '../schema/target.js';
import { type SchemaVersion, loadVersion } from '../schema/versions.js';
import type { TableSettings, TableSettingsProvider } from '../settings.js';

/** The schema in force of a stream with what operations on mirror and history need. */
export interface CurrentReplica {
  readonly settings: TableSettings;
  readonly names: ReplicaNames;
  readonly version: SchemaVersion;
  readonly target: TargetSchema;
}

export interface CurrentOptions {
  readonly stream: StreamRecord;
  readonly settingsOf: TableSettingsProvider;
  /** Locks the stream's offsets until the transaction ends, so that no writer is at work meanwhile. */
  readonly lock: boolean;
}

/** Throws when the stream is not configured any more, or nothing of it has been applied yet. */
export async function loadCurrent(
  client: ClientBase,
  { stream, settingsOf, lock }: CurrentOptions,
): Promise<CurrentReplica> {
  const name = `${stream.database}.${stream.table}`;
  const settings = settingsOf(stream);
  if (settings === undefined) throw new Error(`${name} of source ${stream.source} is not in the configuration`);
  const { rows } = await client.query<{ version: number }>(
    `SELECT schema_version AS version FROM afterimage.offsets WHERE stream_id = $1 ORDER BY partition ${lock ? 'FOR UPDATE' : ''}`,
    [stream.id],
  );
  const version = await loadVersion(client, stream.id, Math.max(0, ...rows.map((row) => row.version)));
  if (version === null) throw new Error(`nothing of ${name} has been applied yet: it has no mirror and no history`);
  const names = replicaNames(settings.mirror, settings.historySuffix);
  return { settings, names, version, target: targetOf(version, settings) };
}
