import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { stringify } from 'yaml';
// @boundaries-ignore the harness that all tests share
import { mariadbMissing } from '../../../test/harness/mariadb.js';
import { World } from './world.js';
it.skipIf(await mariadbMissing('private'))(
  'x',
  async () => {
    const world = await World.start();
    await world.database.pool.query('select 1');
    const { execFileSync } = await import('node:child_process');
    const run = (config: unknown, ...args: string[]) => {
      writeFileSync('/tmp/doctor.yaml', stringify(config));
      return execFileSync;
    };
    void run;
    const { spawn } = await import('node:child_process');
    const cli = (config: unknown, ...args: string[]) =>
      new Promise<void>((done) => {
        writeFileSync('/tmp/doctor.yaml', stringify(config));
        const t = Date.now();
        const c = spawn(
          'node',
          ['/work/wt/doctor/apps/cli/dist/main.js', 'doctor', '-c', '/tmp/doctor.yaml', ...args],
          { stdio: ['ignore', 'pipe', 'pipe'] },
        );
        let out = '';
        c.stdout.on('data', (b) => (out += b));
        c.stderr.on('data', (b) => (out += b));
        c.on('close', (code) => {
          console.log(`$ doctor ${args.join(' ')}\n${out}exit ${code} after ${Date.now() - t} ms`);
          done();
        });
      });
    await cli(world.config(), '--all');
    await cli(world.config());
    await cli({
      ...world.config(),
      postgres: { url: 'postgres://u:hush@127.0.0.1:1/d' },
      queue: { backend: 'redis', url: 'redis://:hush@127.0.0.1:1' },
      sources: {
        shop: world.settings({
          port: 1,
          mariadb: { url: 'mariadb://u:hush@127.0.0.1:1' },
          rest: { url: 'http://127.0.0.1:1' },
        }),
      },
    });
    await world.stop();
  },
  100000,
);
