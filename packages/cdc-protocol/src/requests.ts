import { createHash } from 'node:crypto';
import { CdcError } from './errors.js';

/** What to stream: one table, from its first file or a later one, from its beginning or a transaction. */
export interface DataRequest {
  database: string;
  table: string;
  /** File version to begin with; 1 when absent. */
  version?: number;
  /** `domain-server-sequence`. Inclusive: that transaction comes again, from its first row in this table. */
  gtid?: string;
}

const maxVersion = 2 ** 31 - 1;
const maxUint32 = 2n ** 32n - 1n;
const maxUint64 = 2n ** 64n - 1n;
const gtidPattern = /^(\d{1,10})-(\d{1,10})-(\d{1,20})$/;
// Not only the separators of the protocol: no table with such a character in its name ever has a file.
const forbiddenInNames = /[\s\p{Cc}.]/u;

/**
 *     authentication = hex(user ":" SHA1(password))       (20 raw bytes of SHA-1; no terminator)
 *
 * Throws CdcError INVALID_ARGUMENT for a user name that cannot be sent so.
 */
export function formatAuthentication(user: string, password: string): string {
  if (user === '' || user.includes(':')) throw invalid('user must not be empty or contain a colon');
  const digest = createHash('sha1').update(password, 'utf8').digest();
  return Buffer.concat([Buffer.from(`${user}:`, 'utf8'), digest]).toString('hex');
}

/**
 *     registration = "REGISTER UUID=" uuid ", TYPE=JSON"   (case matters; any non-empty uuid is accepted)
 */
export function formatRegistration(uuid: string): string {
  if (!/^[\w-]+$/.test(uuid)) throw invalid('uuid must be one or more of A-Z a-z 0-9 _ -');
  return `REGISTER UUID=${uuid}, TYPE=JSON`;
}

/**
 *     request = "REQUEST-DATA " database "." table ["." version] [" " gtid]     (version: six digits or more)
 *
 * No terminator: a newline would become part of the file name. The GTID has exactly three numbers: more make a
 * MaxScale worker thread spin for seconds. Throws CdcError INVALID_ARGUMENT.
 */
export function formatDataRequest(request: DataRequest): string {
  const { database, table, version, gtid } = request;
  checkName('database', database);
  checkName('table', table);
  let command = `REQUEST-DATA ${database}.${table}`;
  if (version !== undefined) command += `.${formatVersion(version)}`;
  if (gtid !== undefined) command += ` ${checkGtid(gtid)}`;
  return command;
}

function formatVersion(version: number): string {
  if (!Number.isInteger(version) || version < 1 || version > maxVersion) {
    throw invalid(`version must be an integer from 1 to ${maxVersion}`);
  }
  return String(version).padStart(6, '0');
}

function checkName(what: string, name: string): void {
  if (name === '' || forbiddenInNames.test(name)) {
    throw invalid(
      `${what} ${JSON.stringify(name)} must not be empty or contain white space, control characters or a dot`,
    );
  }
}

function checkGtid(gtid: string): string {
  const [, domain, serverId, sequence] = gtidPattern.exec(gtid) ?? [];
  if (domain === undefined || serverId === undefined || sequence === undefined) {
    throw invalid(`gtid ${JSON.stringify(gtid)} must be domain-server-sequence: three decimal numbers, two hyphens`);
  }
  if (BigInt(domain) > maxUint32 || BigInt(serverId) > maxUint32 || BigInt(sequence) > maxUint64) {
    throw invalid(`gtid ${gtid} is out of range: domain and server have 32 bits, the sequence 64`);
  }
  return gtid;
}

function invalid(message: string): CdcError {
  return new CdcError('INVALID_ARGUMENT', message);
}
