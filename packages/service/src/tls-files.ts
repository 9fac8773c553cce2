import { readFileSync } from 'node:fs';
import type { SourceConfig, TlsConfig } from './config-schema.js';

/** TLS settings with the text of the certificates in place of their paths. */
export interface TlsFiles {
  readonly rejectUnauthorized: boolean;
  readonly servername?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Throws when a file cannot be read, naming it. */
export function readTlsFiles({ rejectUnauthorized, servername, ca, cert, key }: TlsConfig): TlsFiles {
  return {
    rejectUnauthorized,
    ...(servername === undefined ? {} : { servername }),
    ...(ca === undefined ? {} : { ca: readFileSync(ca, 'utf8') }),
    ...(cert === undefined ? {} : { cert: readFileSync(cert, 'utf8') }),
    ...(key === undefined ? {} : { key: readFileSync(key, 'utf8') }),
  };
}

/** The server that `sources.<name>.mariadb` names, with the text of its certificates. Throws when a file cannot be read. */
export function resolveMariadb({ url, tls }: NonNullable<SourceConfig['mariadb']>): {
  readonly url: string;
  readonly tls: TlsFiles | undefined;
} {
  return { url, tls: tls === undefined ? undefined : readTlsFiles(tls) };
}
