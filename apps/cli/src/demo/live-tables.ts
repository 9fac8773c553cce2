import type { Change, FakeMaxScale, ScriptedTable } from '@afterimage/cdc-protocol/testing';
import type { ModelColumn } from './columns.js';
import { type ModelOperation, type ModelRow, ModelTable, type ModelTableOptions } from './source-model.js';

/** One row image of a transaction. */
export interface LiveChange {
  readonly table: LiveTable;
  readonly operation: ModelOperation;
  readonly row: ModelRow;
}

/** A table of the fake MaxScale together with the source's own model of it. */
export class LiveTable {
  readonly model: ModelTable;
  readonly scripted: ScriptedTable;

  constructor(maxscale: FakeMaxScale, options: ModelTableOptions) {
    this.model = new ModelTable(options);
    this.scripted = maxscale.table(options.database, options.table);
    this.scripted.create(toWireColumns(options.columns));
  }

  /** ALTER TABLE; takes effect on the wire with the next row. */
  alter(change: (columns: readonly ModelColumn[]) => readonly ModelColumn[]): void {
    const columns = change(this.model.columns);
    this.scripted.alter(toWireColumns(columns));
    this.model.alter(columns);
  }

  inserted(row: ModelRow): LiveChange[] {
    return [{ table: this, operation: 'insert', row }];
  }

  updated(before: ModelRow, after: ModelRow): LiveChange[] {
    return [
      { table: this, operation: 'update_before', row: before },
      { table: this, operation: 'update_after', row: after },
    ];
  }

  deleted(row: ModelRow): LiveChange[] {
    return [{ table: this, operation: 'delete', row }];
  }

  toWire({ operation, row }: LiveChange): Change & { readonly table: ScriptedTable } {
    const values = Object.fromEntries(
      this.model.columns.map(({ id, name, type }) => {
        const value = row[id] ?? null;
        return [name, value === null ? null : type.toWire(value)];
      }),
    );
    return { table: this.scripted, operation, values };
  }
}

function toWireColumns(columns: readonly ModelColumn[]) {
  return columns.map(({ name, type }) => ({ name, realType: type.realType, unsigned: type.unsigned ?? false }));
}

/** Commits one transaction at the source: on the wire and in the models. Returns its GTID. */
export function commitLive(maxscale: FakeMaxScale, changes: readonly LiveChange[], timestamp: number): string {
  const gtid = maxscale.commit(
    changes.map((change) => change.table.toWire(change)),
    { timestamp },
  );
  for (const [index, { table, operation, row }] of changes.entries()) {
    table.model.apply({ gtid, eventNumber: index + 1, operation, timestamp, row });
  }
  return gtid;
}
