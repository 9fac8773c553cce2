import type { Operation, Row, RowValue } from '../messages.js';

/** A row's values by column name; a missing one is null. */
export type Values = Readonly<Record<string, RowValue | undefined>> | Row;

/** One row image of a transaction. */
export interface Change {
  readonly operation: Operation;
  readonly values: Values;
}

export function inserted(...rows: Values[]): Change[] {
  return rows.map((values) => ({ operation: 'insert', values }));
}

/** The two images of an update; a changed primary key has the same form. */
export function updated(before: Values, after: Values): Change[] {
  return [
    { operation: 'update_before', values: before },
    { operation: 'update_after', values: after },
  ];
}

export function deleted(...rows: Values[]): Change[] {
  return rows.map((values) => ({ operation: 'delete', values }));
}
