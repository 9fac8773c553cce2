import type { SourceQueries } from './compared-table.js';

/** MariaDB refused a query, or is gone. */
class SourceError extends Error {
  override readonly name = 'SourceError';
}

/** The same queries, whose errors say that they are MariaDB's, without the text of the query. */
export function nameErrors(source: SourceQueries): SourceQueries {
  return {
    query: async (sql, values) => {
      try {
        return await source.query(sql, values);
      } catch (error) {
        throw new SourceError(describe(error), { cause: error });
      }
    },
  };
}

/** What a user of MariaDB may not do, and a blob that is too long to be read. */
const advice: Readonly<Record<number, string>> = {
  1142: 'grant the user of mariadb.url SELECT on the table',
  1045: 'correct the user or password of mariadb.url',
  1690: 'a value is too long to be read: raise max_allowed_packet in MariaDB',
};

function describe(error: unknown): string {
  const { sqlMessage, errno, message, cause } = error as {
    sqlMessage?: string | null;
    errno?: number;
    message: string;
    cause?: unknown;
  };
  const words = sqlMessage ?? message;
  const reason = cause instanceof Error && !words.includes(cause.message) ? ` (${cause.message})` : '';
  const help = errno === undefined ? undefined : advice[errno];
  return `MariaDB: ${words}${reason}${help === undefined ? '' : `; ${help}`}`;
}
