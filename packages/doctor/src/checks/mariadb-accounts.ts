import type { MariadbFacts } from '../facts/mariadb.js';
import type { AvroService } from '../facts/rest.js';
import { type Check, notice, ok, type Outcome, warning } from '../finding.js';
import { listSome } from '../texts.js';

export interface AccountSubject {
  readonly server: MariadbFacts;
  /** MaxScale's services, where its REST API told them. */
  readonly services: readonly AvroService[];
}

/** Privileges that change something, or let somebody else in. */
const excessive = [
  'ALL PRIVILEGES',
  'ALTER',
  'CREATE',
  'CREATE USER',
  'DELETE',
  'DROP',
  'FILE',
  'GRANT OPTION',
  'INSERT',
  'RELOAD',
  'SHUTDOWN',
  'SUPER',
  'TRIGGER',
  'UPDATE',
];

export const mariadbAccountChecks: readonly Check<AccountSubject>[] = [
  {
    name: 'excess-privileges',
    look: ({ server: { grants, user } }) => {
      const found = new Set(grants.flatMap(({ privileges }) => privileges));
      const tooMuch = excessive.filter((privilege) => found.has(privilege));
      if (tooMuch.length === 0) return ok(`user ${user} can only read`);
      return notice(
        `user ${user} may do more than is needed (${listSome(tooMuch, 6)}): reading is enough`,
        `CREATE USER of its own with only SELECT and BINLOG MONITOR: see docs/source.md`,
      );
    },
  },
  {
    name: 'log-privilege',
    look: ({ server: { grants, user } }) => {
      const names = ['ALL PRIVILEGES', 'BINLOG MONITOR', 'REPLICATION CLIENT', 'SUPER'];
      const isGranted = grants.some(({ on, privileges }) => on === '*.*' && privileges.some((p) => names.includes(p)));
      if (isGranted) return ok(`user ${user} may see the binary log's state`);
      return warning(
        `user ${user} lacks BINLOG MONITOR: where the binary log begins and ends cannot be asked`,
        `GRANT BINLOG MONITOR ON *.* TO ${quoteAccount(user)};`,
      );
    },
  },
  {
    name: 'replica',
    look: ({ server: { hasReplica } }) => {
      if (hasReplica === null) return null;
      if (hasReplica) return ok('a replica reads the binary log');
      return warning(
        'nobody reads the binary log now: MaxScale is not connected to this server, or to another one',
        'look for errors of the avrorouter service in maxscale.log; check servers= and user= of the service',
      );
    },
  },
  {
    name: 'replication-user',
    look: (subject) => subject.services.flatMap((service) => checkUser(service, subject.server) ?? []),
  },
];

function checkUser({ id, parameters, gtid }: AvroService, { accounts, user: me }: MariadbFacts): Outcome | null {
  const { user } = parameters;
  if (user === undefined) return null;
  const privileges = accounts.get(user);
  if (privileges === undefined) {
    const hint = `SHOW GRANTS FOR '${user.replaceAll("'", "''")}'@'%'; it needs REPLICATION SLAVE, BINLOG MONITOR and SELECT`;
    // It sees no account but its own, as is right; what was converted tells as much.
    if (accounts.size <= 1)
      return gtid === null
        ? notice(`user ${me} may not see the privileges of MaxScale's user ${user}`, hint)
        : ok(`MaxScale's user ${user} replicates`);
    return warning(`MariaDB has no user ${user}, which service ${id} of MaxScale signs in as`, hint);
  }
  const missing = [['REPLICATION SLAVE'], ['BINLOG MONITOR', 'REPLICATION CLIENT']].filter(
    (names) => !names.some((name) => privileges.includes(name)),
  );
  if (missing.length === 0) return ok(`MaxScale's user ${user} may replicate`);
  const names = missing.map(([name]) => name).join(', ');
  return warning(`MaxScale's user ${user} lacks ${names}`, `GRANT ${names} ON *.* TO ${quoteAccount(`${user}@%`)};`);
}

function quoteAccount(account: string): string {
  const at = account.lastIndexOf('@');
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  return at < 0 ? quote(account) : `${quote(account.slice(0, at))}@${quote(account.slice(at + 1))}`;
}
