import { openSourceDatabase } from '@afterimage/mariadb';
import { type Config, resolveMariadb, type ServiceScope } from '@afterimage/service';

export type SourcePool = ReturnType<typeof openSourceDatabase>;

/**
 * The MariaDB servers behind the sources that name one, by source. Each pool connects when it is needed, and is closed when
 * the service ends.
 */
export function openSourceDatabases(
  { sources }: Config,
  scope: ServiceScope,
  { connections }: { readonly connections: number },
): ReadonlyMap<string, SourcePool> {
  const named = Object.entries(sources).flatMap(([name, { mariadb }]) =>
    mariadb === undefined ? [] : [[name, mariadb] as const],
  );
  return new Map(
    named.map(([name, mariadb]) => {
      const pool = openSourceDatabase({ ...resolveMariadb(mariadb), connections });
      scope.onClose(`MariaDB of ${name}`, () => pool.end());
      return [name, pool];
    }),
  );
}
