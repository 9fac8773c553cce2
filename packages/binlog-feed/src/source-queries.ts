import { parseMariadbUrl } from '@afterimage/mariadb';
import { createConnection, type Connection, SqlError } from 'mariadb';
import type { TableName } from './ddl-parser.js';

/** What avrorouter asks the server by SQL, on a connection made when it is needed. */
export class SourceQueries {
  readonly #url: string;
  #connection: Promise<Connection> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** The last transaction of each domain in the binlog. */
  async readPosition(): Promise<string> {
    return String(await this.#readValue('SELECT @@gtid_binlog_pos'));
  }

  /** The name is not quoted, as avrorouter does: null for a table whose name needs it, or that is gone. */
  async showCreateTable({ database, table }: TableName): Promise<string | null> {
    try {
      return String(await this.#readValue(`SHOW CREATE TABLE ${database}.${table}`, 1));
    } catch (error) {
      // A refusal is the answer; anything else means that the server is gone.
      if (error instanceof SqlError && !error.fatal) return null;
      throw error;
    }
  }

  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    this.#connection = undefined;
    await connection?.end().catch(() => undefined);
  }

  async #readValue(sql: string, column = 0): Promise<unknown> {
    const connection = await this.#connect();
    const [row] = await connection.query<unknown[][]>({ sql, rowsAsArray: true });
    return row?.[column];
  }

  async #connect(): Promise<Connection> {
    const known = await this.#connection?.catch(() => undefined);
    if (known?.isValid() === true) return known;
    this.#connection = createConnection({ ...parseMariadbUrl(this.#url), connectTimeout: 20_000 });
    const connection = await this.#connection;
    // That it broke shows at the next query, and as an event without a listener would end the process.
    connection.on('error', () => undefined);
    return connection;
  }
}
