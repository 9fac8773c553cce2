import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createBackoff,
  createLogger,
  createQuietLog,
  createRegistry,
  Gauge,
  redactUrl,
  sleep,
  startHttp,
} from '../src/index.js';

describe('a backoff', () => {
  it('doubles up to its cap, and starts anew after a success', () => {
    const backoff = createBackoff({ minMs: 100, maxMs: 1000, random: () => 1 });
    expect(Array.from({ length: 6 }, () => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect(backoff.attempts).toBe(6);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('never leaves the range from half its step to its cap, however often it is asked', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1000 }),
        fc.integer({ min: 1000, max: 60_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (minMs, maxMs, random) => {
          const backoff = createBackoff({ minMs, maxMs, random: () => random });
          for (let n = 0; n < 2000; n += 1) {
            const delay = backoff.next();
            expect(delay).toBeGreaterThanOrEqual(Math.floor(minMs / 2));
            expect(delay).toBeLessThanOrEqual(maxMs);
          }
        },
      ),
      { numRuns: 20 },
    );
  });
});

describe('a quiet log', () => {
  it('tells each kind of error once in half a minute', () => {
    const lines: string[] = [];
    const logger = createLogger({ name: 'test', level: 'info', destination: { write: (line) => lines.push(line) } });
    let now = 0;
    const warn = createQuietLog({ logger, describe: String, now: () => now });
    for (; now < 60_000; now += 100) {
      warn('queue trouble', 'refused');
      warn('queue trouble', 'full');
      warn('connection lost', 'refused');
    }
    const told = lines.map((line) => JSON.parse(line) as { msg: string; error: string });
    const kinds = ['queue trouble: refused', 'queue trouble: full', 'connection lost: refused'];
    expect(told.map(({ msg, error }) => `${msg}: ${error}`)).toEqual([...kinds, ...kinds]);
  });
});

describe('sleep', () => {
  it('tells whether the time has passed or the signal came first', async () => {
    expect(await sleep(1)).toBe(true);
    expect(await sleep(60_000, AbortSignal.abort())).toBe(false);
    const controller = new AbortController();
    const sleeping = sleep(60_000, controller.signal);
    controller.abort();
    expect(await sleeping).toBe(false);
  });
});

describe('the log', () => {
  const write = (log: (logger: ReturnType<typeof createLogger>) => void, pretty = false): string => {
    const lines: string[] = [];
    log(
      createLogger({ name: 'reader', level: 'info', pretty, destination: { write: (line) => void lines.push(line) } }),
    );
    return lines.join('');
  };

  it('is one JSON object per line', () => {
    const line = JSON.parse(write((logger) => logger.warn({ stream: 'shop.orders' }, 'lagging'))) as Record<
      string,
      unknown
    >;
    expect(line).toMatchObject({ level: 'warn', name: 'reader', stream: 'shop.orders', msg: 'lagging' });
    expect(line['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  });

  it('never holds a password, wherever it stands', () => {
    const url = 'postgres://user:hush@host/db';
    const text = write((logger) => {
      const error = new Error(`cannot reach ${url}`, { cause: new Error(url) });
      logger.info(
        { config: { postgres: { url }, sources: [{ password: 'hush' }] }, err: error },
        `connecting to ${url}`,
      );
      logger.error(error);
    });
    expect(text).not.toContain('hush');
    expect(text).toContain('postgres://user:***@host/db');
  });

  it('keeps a hostile name on its line', () => {
    const hostile = 'orders\n{"level":"fatal"}\u001b[31m';
    expect(
      write((logger) => logger.info({ table: hostile }, 'opened'))
        .trimEnd()
        .split('\n'),
    ).toHaveLength(1);
    expect(write((logger) => logger.info({ table: hostile }, 'opened'), true)).toMatch(
      /info\s+reader\s+opened\s+table="orders\\n.*\\u001b\[31m"\n$/,
    );
  });

  it('leaves out what is below its level', () => {
    expect(write((logger) => logger.debug('detail'))).toBe('');
  });
});

it('a URL is shown without its password', () => {
  expect(redactUrl('redis://:hush@h:1 and postgres://u:p@ss@h/d?x=1')).toBe(
    'redis://:***@h:1 and postgres://u:***@h/d?x=1',
  );
  expect(redactUrl('postgres://h:5432/d')).toBe('postgres://h:5432/d');
});

describe('the health and metrics endpoint', () => {
  it('answers for the process', async () => {
    let healthy = true;
    const registry = createRegistry('reader');
    new Gauge({ name: 'afterimage_lag_seconds', help: 'lag', registers: [registry] }).set(3);
    const endpoint = await startHttp({
      host: '127.0.0.1',
      port: 0,
      registry,
      healthy: () => healthy,
      ready: () => Promise.reject(new Error('not yet')),
    });
    const get = async (path: string, method = 'GET') => {
      const response = await fetch(`${endpoint.url}${path}`, { method });
      return [response.status, (await response.text()).trim()] as const;
    };
    try {
      expect(await get('/healthz')).toEqual([200, 'healthy']);
      expect(await get('/readyz')).toEqual([503, 'not ready']);
      healthy = false;
      expect(await get('/healthz')).toEqual([503, 'unhealthy']);
      expect((await get('/metrics'))[1]).toContain('afterimage_lag_seconds{service="reader"} 3');
      expect(await get('/')).toEqual([404, 'here are /healthz, /readyz and /metrics']);
      expect((await get('/healthz', 'POST'))[0]).toBe(405);
    } finally {
      await endpoint.close();
    }
  });

  it('says which address is taken', async () => {
    const options = { host: '127.0.0.1', port: 0, registry: createRegistry('a'), healthy: () => true };
    const endpoint = await startHttp(options);
    const port = Number(new URL(endpoint.url).port);
    await expect(startHttp({ ...options, port })).rejects.toThrow(
      `cannot serve health and metrics on 127.0.0.1:${port} (EADDRINUSE)`,
    );
    await endpoint.close();
  });
});
