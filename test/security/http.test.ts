import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { createRegistry, Gauge, type HttpEndpoint, startHttp } from '@afterimage/service';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostileTexts } from './hostile-names.js';

let endpoint: HttpEndpoint;
let port: number;

/** Sends bytes as they are; gives all that comes back until the server ends the connection. */
async function send(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'));
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
    socket.on('error', reject).on('close', () => resolve(answer));
  });
}

const request = async (path: string, method = 'GET', headers = ''): Promise<string> =>
  send(`${method} ${path} HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`);

describe('the health and metrics endpoint', () => {
  beforeAll(async () => {
    const registry = createRegistry('writer');
    const gauge = new Gauge({ name: 'tables', help: 'Tables.', labelNames: ['table'], registers: [registry] });
    for (const name of hostileTexts) gauge.set({ table: name }, 1);
    endpoint = await startHttp({ host: '127.0.0.1', port: 0, healthy: () => true, registry });
    port = Number(new URL(endpoint.url).port);
  });
  afterAll(() => endpoint.close());

  it.each([
    '//',
    '//evil.example/healthz',
    'http://evil.example:99999/',
    'http://[',
    '*',
    '/..',
    '/../../etc/passwd',
    '/%2e%2e/%2e%2e/etc/passwd',
    '/healthz/',
    '/metrics/../healthz',
    '/healthz%00',
    '/__proto__',
    '/%',
    '/',
    `/${'a'.repeat(10_000)}`,
  ])('answers %s with 404 and goes on', async (path) => {
    expect(await request(path)).toMatch(/^HTTP\/1\.1 404 /);
    expect(await request('/healthz')).toMatch(/^HTTP\/1\.1 200 [^]*healthy\n/);
  });

  it.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'])('refuses %s', async (method) => {
    expect(await request('/metrics', method)).toMatch(/^HTTP\/1\.1 405 /);
  });

  it('refuses what is no HTTP, and headers that are too big, and serves others meanwhile', async () => {
    const slow = connect(port, '127.0.0.1', () => slow.write('GET /healthz HT'));
    slow.on('error', () => undefined);
    expect(await send('\u0016\u0003\u0001 garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    expect(await request('/healthz', 'GET', `X: ${'a'.repeat(100_000)}\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await request('/healthz?query=1')).toMatch(/^HTTP\/1\.1 200 /);
    slow.destroy();
  });

  it('gives each hostile name as one label on one line', async () => {
    const [, body = ''] = (await request('/metrics')).split('\r\n\r\n');
    const lines = body.split('\n').filter((line) => line.startsWith('tables{'));
    expect(lines).toHaveLength(new Set(hostileTexts).size);
    for (const line of lines) expect(line).toMatch(/^tables\{table="(?:[^"\\]|\\.)*",service="writer"\} 1$/s);
  });

  it('listens on the configured address alone', async () => {
    const others = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    for (const { address, internal, family } of others) {
      if (internal || family !== 'IPv4') continue;
      const reached = await new Promise<boolean>((resolve) => {
        const socket = connect({ port, host: address }, () => resolve(true)).on('error', () => resolve(false));
        socket.on('connect', () => socket.destroy());
      });
      expect(reached, address).toBe(false);
    }
  });
});
