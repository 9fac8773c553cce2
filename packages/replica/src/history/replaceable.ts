import type { ClientBase } from 'pg';
import { sqlState } from '../errors.js';
import { quoteName } from '../names.js';

/** A view or function that a schema change may have to make anew. */
export interface Replaceable {
  readonly kind: 'VIEW' | 'FUNCTION';
  /** Quoted, schema-qualified; a function with its argument types. */
  readonly name: string;
  /** What follows CREATE. */
  readonly definition: string;
}

/** What PostgreSQL says when CREATE OR REPLACE would change a view's columns or a function's result. */
const shapeChanges = { VIEW: '42P16', FUNCTION: '42P13' };

/**
 * Creates or replaces in place, which keeps privileges and dependent objects. Where the shape changes it must be dropped
 * and created: then it gets the privileges that the old one had, those on columns where there still is such a column.
 */
export async function createOrReplace(client: ClientBase, object: Replaceable): Promise<void> {
  await client.query('SAVEPOINT replace');
  try {
    await client.query(`CREATE OR REPLACE ${object.definition}`);
    await client.query('RELEASE SAVEPOINT replace');
  } catch (error) {
    if (sqlState(error) !== shapeChanges[object.kind]) throw error;
    await client.query('ROLLBACK TO SAVEPOINT replace');
    const before = await readPrivileges(client, object);
    await client.query(`DROP ${object.kind} ${object.name}`);
    await client.query(`CREATE ${object.definition}`);
    if (before !== null) await setPrivileges(client, object, before);
  }
}

interface Privilege {
  readonly privilege: string;
  readonly column: string | null;
  /** Quoted, or PUBLIC. */
  readonly grantee: string;
  readonly grantable: boolean;
}

const entry = `a.privilege_type AS privilege, a.is_grantable AS grantable,
  CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END AS grantee`;

const privilegesOf = {
  VIEW: `
    SELECT ${entry}, NULL AS column FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::regclass AND a.grantee <> c.relowner
    UNION ALL
    SELECT ${entry}, t.attname FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = $1::regclass AND NOT t.attisdropped`,
  FUNCTION: `
    SELECT ${entry}, NULL AS column FROM pg_proc p, aclexplode(p.proacl) a WHERE p.oid = $1::regprocedure AND a.grantee <> p.proowner`,
};

const isUntouched = {
  VIEW: `SELECT relacl IS NULL AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL) AS untouched
    FROM pg_class c WHERE c.oid = $1::regclass`,
  FUNCTION: 'SELECT proacl IS NULL AS untouched FROM pg_proc WHERE oid = $1::regprocedure',
};

/** All that others than the owner may do; null when nobody ever changed what they may by default. */
async function readPrivileges(client: ClientBase, { kind, name }: Replaceable): Promise<readonly Privilege[] | null> {
  const { rows } = await client.query<{ untouched: boolean }>(isUntouched[kind], [name]);
  if (rows[0]?.untouched === true) return null;
  return (await client.query<Privilege>(privilegesOf[kind], [name])).rows;
}

/** Takes what the new object allows by default, too, where the old one did not. */
async function setPrivileges(client: ClientBase, object: Replaceable, wanted: readonly Privilege[]): Promise<void> {
  const on = object.kind === 'VIEW' ? object.name : `FUNCTION ${object.name}`;
  const grantees = new Set(
    (await client.query<Privilege>(privilegesOf[object.kind], [object.name])).rows.map((r) => r.grantee),
  );
  if (object.kind === 'FUNCTION') grantees.add('PUBLIC');
  for (const grantee of grantees) await client.query(`REVOKE ALL ON ${on} FROM ${grantee}`);
  const columns = await readColumns(client, object);
  for (const { privilege, column, grantee, grantable } of wanted) {
    if (column !== null && !columns.has(column)) continue;
    const what = column === null ? privilege : `${privilege} (${quoteName(column)})`;
    await client.query(`GRANT ${what} ON ${on} TO ${grantee}${grantable ? ' WITH GRANT OPTION' : ''}`);
  }
}

async function readColumns(client: ClientBase, { kind, name }: Replaceable): Promise<ReadonlySet<string>> {
  if (kind === 'FUNCTION') return new Set();
  const { rows } = await client.query<{ name: string }>(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped',
    [name],
  );
  return new Set(rows.map((row) => row.name));
}
