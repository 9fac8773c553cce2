import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { inserted } from '@afterimage/cdc-protocol/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRig, type ReaderRig } from './reader-rig.js';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const wait = { timeout: 20_000, interval: 20 };
/** Terminal escapes, a line break and SQL in a table's name. */
const hostile = `shop.x\u001b[2Jy\n"level":"error"';DROP TABLE t;--`;

let rig: ReaderRig;
let folder: string;
let child: ChildProcessByStdio<null, Readable, Readable> | undefined;

beforeEach(async () => {
  rig = await createRig({ backend: 'postgres', redisUrl: null });
  folder = await mkdtemp(join(tmpdir(), 'afterimage-reader-'));
});

afterEach(async () => {
  child?.kill('SIGKILL');
  await rig.close();
  await rm(folder, { recursive: true });
});

async function writeConfig(extra: Record<string, unknown> = {}): Promise<string> {
  const path = join(folder, 'afterimage.yaml');
  const config = {
    postgres: { url: rig.database.url },
    queue: { backend: 'postgres', prefix: rig.queueOptions.prefix },
    sources: { main: { ...rig.source.address, tables: { 'shop.orders': null, [hostile]: null } } },
    ...extra,
  };
  // JSON is YAML.
  await writeFile(path, JSON.stringify(config));
  return path;
}

function run(...args: string[]): { output: () => string; errors: () => string; exited: Promise<unknown[]> } {
  const started = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  child = started;
  let output = '';
  let errors = '';
  started.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  started.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  return { output: () => output, errors: () => errors, exited: once(started, 'exit') };
}

it('a reader process reads until SIGTERM, leaves in order with code 0, and logs one JSON object per line', async () => {
  const table = rig.source.table('shop', 'orders');
  table.create([{ name: 'id', realType: 'int' }]);
  table.append(inserted({ id: 1 }));
  const reader = run('--config', await writeConfig({ service: { readerPort: 0 } }));
  const writer = await rig.write();
  await expect.poll(() => writer.lines.length, wait).toBe(1);
  await expect.poll(() => reader.output(), wait).toContain('INVALID_ARGUMENT');
  const url = /"url":"(http:[^"]+)"/.exec(reader.output())?.[1] ?? '';
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  expect(await (await fetch(`${url}/metrics`)).text()).toContain(
    'afterimage_reader_events_total{source="main",database="shop",table="orders",service="reader"} 1',
  );
  child?.kill('SIGTERM');
  expect(await reader.exited).toEqual([0, null]);
  expect(await rig.state()).toBe('idle');
  expect(reader.output()).not.toContain('\u001b');
  const lines = reader.output().trimEnd().split('\n');
  const names = lines.map((line) => (JSON.parse(line) as { name: string }).name);
  expect(new Set(names)).toEqual(new Set(['reader']));
  expect(reader.errors()).toBe('');
});

it('a killed reader process loses nothing: the next one goes on after what was applied', async () => {
  const table = rig.source.table('shop', 'orders');
  table.create([{ name: 'id', realType: 'int' }]);
  const writer = await rig.write();
  let id = 0;
  for (let round = 1; round <= 3; round += 1) {
    const path = await writeConfig({ reader: { maxBatchEvents: 7 } });
    const reader = run('--config', path, '--source', 'main');
    for (let i = 0; i < 100; i += 1) table.append(inserted({ id: (id += 1) }));
    await expect.poll(() => writer.lines.length, wait).toBeGreaterThan((round - 1) * 100);
    child?.kill('SIGKILL');
    await reader.exited;
  }
  run('--config', await writeConfig());
  await expect.poll(() => writer.lines.length, wait).toBe(300);
  expect(writer.lines).toEqual(await rig.readSource(300));
});

it('a wrong command line or configuration ends it at once with code 2 and says what is wrong', async () => {
  const unknown = run('--config', await writeConfig(), '--source', 'other');
  expect(await unknown.exited).toEqual([2, null]);
  expect(unknown.errors()).toContain('no such source in the configuration: "other"');
  const missing = run('--config', join(folder, 'none.yaml'));
  expect(await missing.exited).toEqual([2, null]);
  expect(missing.errors()).toContain('afterimage init');
  const flag = run('--colour');
  expect(await flag.exited).toEqual([2, null]);
  expect(flag.errors()).toContain('Usage: reader');
});
