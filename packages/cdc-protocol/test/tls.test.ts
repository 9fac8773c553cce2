import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { ConnectOptions } from '@afterimage/cdc-protocol';
import type { FakeMaxScale } from '@afterimage/cdc-protocol/testing';
import { createOrders, orders, startServer } from './server-fixture.js';
import { connectTo, drain, codeOf, fixtures, take } from './support.js';

const pem = (name: string): Buffer => readFileSync(join(fixtures, 'tls', name));
const ca = pem('test-ca.crt');
const server = { cert: pem('test-server.crt'), key: pem('test-server.key') };
const client = { cert: pem('test-client.crt'), key: pem('test-client.key') };

function startTlsServer(askForCertificate = false): Promise<FakeMaxScale> {
  const trust = askForCertificate ? { ca, requestCert: true, rejectUnauthorized: true } : {};
  return startServer({ tls: { ...server, ...trust } });
}

async function streamOne(maxscale: FakeMaxScale, tls: NonNullable<ConnectOptions['tls']>): Promise<number> {
  const connection = await connectTo(maxscale, { tls });
  await connection.requestData(orders);
  const messages = await take(connection, 2);
  await connection.close();
  return messages.length;
}

describe('TLS', () => {
  it('streams from a listener whose certificate the given authority signed', async () => {
    const maxscale = await startTlsServer();
    createOrders(maxscale, 1);
    expect(await streamOne(maxscale, { ca })).toBe(2);
    await maxscale.waitForConnections((count) => count === 0);
  });

  it('checks the certificate against servername instead of the host when it is given', async () => {
    const maxscale = await startTlsServer();
    createOrders(maxscale, 1);
    expect(await streamOne(maxscale, { ca, servername: 'maxscale.test' })).toBe(2);
    expect(await codeOf(connectTo(maxscale, { tls: { ca, servername: 'other.test' } }))).toBe('TLS_FAILED');
  });

  it('refuses a certificate of an unknown authority, unless told not to', async () => {
    const maxscale = await startTlsServer();
    createOrders(maxscale, 1);
    expect(await codeOf(connectTo(maxscale, { tls: {} }))).toBe('TLS_FAILED');
    expect(await streamOne(maxscale, { rejectUnauthorized: false })).toBe(2);
  });

  it('presents the client certificate that a listener demands, and fails without one', async () => {
    const maxscale = await startTlsServer(true);
    createOrders(maxscale, 1);
    expect(await streamOne(maxscale, { ca, ...client })).toBe(2);
    expect(await codeOf(connectTo(maxscale, { tls: { ca } }))).toBe('TLS_FAILED');
  });

  it('towards a listener without it is TLS_FAILED', async () => {
    const maxscale = await startServer();
    expect(await codeOf(connectTo(maxscale, { tls: { ca }, timeouts: { dialMs: 2000 } }))).toBe('TLS_FAILED');
  });

  it('ends like plain TCP: CLOSED_BY_SERVER after the messages that came first', async () => {
    const maxscale = await startTlsServer();
    createOrders(maxscale, 2);
    maxscale.inject({ at: 'after-row', action: { kind: 'drop' } });
    const connection = await connectTo(maxscale, { tls: { ca } });
    await connection.requestData(orders);
    const { messages, error } = await drain(connection);
    expect(messages).toHaveLength(2);
    expect(error).toMatchObject({ code: 'CLOSED_BY_SERVER' });
  });
});
