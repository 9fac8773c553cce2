import { readFileSync } from 'node:fs';
import type { TlsConfig } from './config-schema.js';

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
