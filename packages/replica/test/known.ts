import type { ColumnKnowledge, IndexKnowledge, TableKnowledge } from '@afterimage/mariadb';
import type { Pool } from 'pg';
import { recordKnowledge, type SeenKnowledge } from '../src/apply/source.js';
import { adoptKnowledge, type Adoption, type StreamRecord, type TableSettings } from '../src/index.js';

/** What MariaDB would say of columns and of the table `shop.orders`, for tests without one. */
export function integer(name: string, changes: Partial<ColumnKnowledge> = {}): ColumnKnowledge {
  return {
    name,
    streamName: name,
    definition: 'int(11)',
    type: { kind: 'integer', name: 'int', isUnsigned: false, isZerofill: false },
    isNullable: true,
    default: { kind: 'null' },
    generated: null,
    isInvisible: false,
    isAutoIncrement: false,
    onUpdate: null,
    comment: '',
    ...changes,
  };
}

export const notNull = { isNullable: false, default: { kind: 'none' } } as const;

const utf8 = { charset: 'utf8mb4', collation: 'utf8mb4_general_ci' };

export function varchar(name: string, length: number, changes: Partial<ColumnKnowledge> = {}): ColumnKnowledge {
  const type = { kind: 'text', name: 'varchar', length, isJson: false, isCompressed: false, ...utf8 } as const;
  return integer(name, { definition: `varchar(${length})`, type, ...changes });
}

export function labelled(
  name: string,
  kind: 'enum' | 'set',
  labels: readonly string[],
  changes: Partial<ColumnKnowledge> = {},
): ColumnKnowledge {
  const definition = `${kind}(${labels.map((label) => `'${label.replaceAll("'", "''")}'`).join(',')})`;
  return integer(name, { definition, type: { kind, labels, ...utf8 }, ...changes });
}

export function unique(name: string, ...columns: string[]): IndexKnowledge {
  const parts = columns.map((column) => ({ column, prefix: null, descending: false }));
  return { name, isUnique: true, method: 'BTREE', parts };
}

export function tableOf(
  key: string | null,
  columns: readonly ColumnKnowledge[],
  indexes: readonly IndexKnowledge[] = [],
): TableKnowledge {
  const about = { database: 'shop', table: 'orders', comment: '', engine: 'InnoDB', isSystemVersioned: false };
  return { ...about, columns, key: key === null ? null : { kind: 'primary', columns: [key] }, indexes };
}

/** What holds for the batches to come. */
export async function know(pool: Pool, table: TableKnowledge): Promise<void> {
  await pool.query(
    `WITH k AS (INSERT INTO afterimage.table_knowledge (source, database_name, table_name, knowledge, first_seen, last_seen)
       VALUES ('main', 'shop', 'orders', $1, now(), now()) RETURNING id)
     UPDATE afterimage.streams SET knowledge_id = k.id FROM k`,
    [JSON.stringify(table)],
  );
}

export interface Adopted extends Partial<Pick<SeenKnowledge, 'first' | 'last' | 'definedAt'>> {
  readonly stream: StreamRecord;
  readonly settings: TableSettings;
  readonly table: TableKnowledge;
}

/** What the watcher does when MariaDB says so. */
export async function adopt(pool: Pool, { stream, settings, table, ...seen }: Adopted): Promise<Adoption> {
  const at = '2026-01-01 00:00:00+00';
  const id = await recordKnowledge(pool, stream, { first: null, last: null, ...seen, table, at });
  return adoptKnowledge(pool, { stream, settings, knowledge: { id, table } });
}
