import type { ColumnConfig } from '@afterimage/service';
import { MariaTypeError, parseMariaType } from './maria-type.js';
import { checkPostgresType, PostgresTypeError } from './override.js';

/** What is wrong with the way the types of a column are written; a writer would halt its stream with the same words. */
export function checkColumnTypes({ type, postgres }: ColumnConfig): string[] {
  return [
    ...(type === undefined ? [] : findProblem(() => parseMariaType(type))),
    ...(postgres === undefined ? [] : findProblem(() => checkPostgresType(postgres))),
  ];
}

function findProblem(check: () => void): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof MariaTypeError || error instanceof PostgresTypeError) return [error.message];
    throw error;
  }
}
