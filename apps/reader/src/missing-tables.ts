/** PostgreSQL's "relation or schema does not exist" means here that nobody has migrated. */
export function explainMissingTables(error: unknown): unknown {
  const { code } = (error ?? {}) as { code?: unknown };
  if (code !== '42P01' && code !== '3F000') return error;
  return Object.assign(new Error('the control tables are missing: run `afterimage migrate`', { cause: error }), {
    code,
  });
}
