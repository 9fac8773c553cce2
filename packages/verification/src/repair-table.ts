import type { EventId } from '@afterimage/change-events';
import { describeError, repairRows, type Repairs, type RowRepair } from '@afterimage/replica';
import type { ComparedTable, Sides } from './compared-table.js';
import { hashForms, mirrorForm } from './digests.js';
import type { TableVerification } from './result.js';
import { readSourcePosition } from './stream-progress.js';
import { type Differences, verifyTable, type VerifyOptions } from './verify-table.js';

export interface TableRepair {
  /** What was found. */
  readonly before: TableVerification;
  /** Rows that were rewritten. The stream had changed others meanwhile, or their values do not fit the mirror's types. */
  readonly repaired: number;
  /** What a second comparison found; null when nothing was rewritten. */
  readonly after: TableVerification | null;
}

/**
 * Compares a table, rewrites the rows that surely differ as MariaDB has them, and compares again. Rows are rewritten under the
 * stream's offsets, and only while they are what was compared; each is in history with `repair_before` and `repair_after`.
 * A column that one side lacks is left to a schema change.
 */
export async function repairTable(options: Omit<VerifyOptions, 'onDifferent'>): Promise<TableRepair> {
  let repaired = 0;
  const before = await verifyTable({
    ...options,
    onDifferent: async (found) => {
      repaired += await repairDifferences(options.sides, found);
    },
  });
  return { before, repaired, after: repaired === 0 ? null : await verifyTable(options) };
}

/** Why nothing could be rewritten, in a message that says what to do. */
class RepairFailed extends Error {
  override readonly name = 'RepairFailed';
}

/** How many rows were rewritten. */
async function repairDifferences(sides: Sides, found: Differences): Promise<number> {
  const { table } = found;
  const repairs = found.kind === 'rows' ? toRowRepairs(table, found.looks) : toCopiesRepairs(found.looks);
  if (repairs.rows.length === 0) return 0;
  try {
    return await repairRows(sides.postgres, {
      stream: table.stream,
      settingsOf: sides.settingsOf,
      version: table.current.version.version,
      columns: mirrorNames(table),
      rowHash: `md5(${mirrorForm(table.columns)})`,
      after: await readAfter(sides),
      repairs,
    });
  } catch (error) {
    throw new RepairFailed(`rows that differ could not be rewritten: ${describeError(error)}`, { cause: error });
  }
}

function toRowRepairs(
  table: ComparedTable,
  looks: Extract<Differences, { kind: 'rows' }>['looks'],
): Extract<Repairs, { kind: 'rows' }> {
  const fitting = looks.filter(({ source, wanted }) => source === null || wanted !== null);
  const rows = fitting.map(({ key, source, mirror }): RowRepair => ({
    key: key.key,
    row: source,
    before: mirror === null ? null : hashForms(table, mirror),
  }));
  const key = (table.key ?? []).map((column) => mirrorNames({ columns: [column], current: table.current })[0] ?? '');
  return { kind: 'rows', key, rows };
}

function toCopiesRepairs(
  looks: Extract<Differences, { kind: 'copies' }>['looks'],
): Extract<Repairs, { kind: 'copies' }> {
  const rows = looks.map(({ source, hash, inMirror, inSource }) => ({
    row: source,
    hash,
    found: inMirror,
    wanted: inSource,
  }));
  return { kind: 'copies', rows };
}

function mirrorNames({ columns, current }: Pick<ComparedTable, 'columns' | 'current'>): string[] {
  const names = new Map(current.version.columns.map(({ name, mirror }) => [name, mirror]));
  return columns.map(({ name }) => names.get(name) ?? name);
}

async function readAfter({ source }: Sides): Promise<EventId | null> {
  const [event] = (await readSourcePosition(source)).values();
  return event ?? null;
}
