import { readFileSync, readdirSync } from 'node:fs';
import { parsePosition } from '@afterimage/change-events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { queueBackends } from '../../../test/harness/databases.js';
import type { RecordingWriter } from './recording-writer.js';
import { createRig, type ReaderRig } from './reader-rig.js';

const folder = new URL('../../../test/fixtures/transcripts/', import.meta.url);
const wait = { timeout: 90_000, interval: 50 };
/** Some sixty streams at once take their time on a small machine. */
const patience = 180_000;

interface Recording {
  readonly name: string;
  readonly bytes: Buffer;
  /** Its row lines, found without the reader's code: split at newlines, nothing else. */
  readonly lines: readonly string[];
}

function loadRecording(name: string): Recording {
  const bytes = readFileSync(new URL(name, folder));
  const lines = bytes
    .toString('utf8')
    .split('\n')
    .filter((line) => line.startsWith('{"domain": '));
  return { name, bytes, lines };
}

/** One stream per DDL and DML case, the resume cases with several domains, and all that has rows. */
const recordings = [
  ...readdirSync(new URL('4-ddl', folder))
    .filter((name) => name.endsWith('-long.recv.bin'))
    .map((name) => `4-ddl/${name}`),
  ...readdirSync(new URL('3-dml', folder))
    .filter((name) => name.endsWith('.recv.bin') && !name.startsWith('big-'))
    .map((name) => `3-dml/${name}`),
  '5-resume/none.recv.bin',
  '5-resume/multi-none.recv.bin',
  '7-extra/wrap.recv.bin',
]
  .map(loadRecording)
  .filter(({ lines }) => lines.length > 0);

describe.each(queueBackends())('what a real MaxScale sent', ({ backend, redisUrl, missing }) => {
  describe.skipIf(missing)(`comes through reader and queue on ${backend}`, () => {
    let rig: ReaderRig;

    beforeEach(async () => {
      rig = await createRig({ backend, redisUrl });
    });

    afterEach(async () => {
      await rig.close();
    });

    it(
      'line by line, many tables at once, over cut connections and a restart of the reader',
      async () => {
        expect(recordings.length).toBeGreaterThan(50);
        const writers = new Map<Recording, RecordingWriter>();
        for (const [index, recording] of recordings.entries()) {
          rig.source.table('shop', `t${index}`).load(recording.bytes);
          writers.set(recording, await rig.write(`t${index}`));
        }
        rig.source.setChunking({ seed: 7 });
        for (let cut = 1; cut <= 40; cut += 1) rig.source.inject({ at: { bytes: cut * 61 }, action: { kind: 'drop' } });
        const tables = recordings.map((_, index) => `shop.t${index}`);
        const first = rig.start({ tables, reader: { maxBatchEvents: 3 } });
        const arrived = () => [...writers.values()].filter((writer) => writer.lines.length > 0).length;
        await expect.poll(arrived, wait).toBeGreaterThan(recordings.length / 3);
        await first.stop();
        rig.start({ tables, reader: { maxBatchEvents: 3 } });
        for (const [{ name, lines }, writer] of writers) {
          await expect.poll(() => writer.lines.length, { ...wait, message: name }).toBe(lines.length);
          expect(writer.lines, name).toEqual(lines);
        }
      },
      patience,
    );

    it('with sequences beyond 2^32 put right, although the stream has them modulo 2^32', async () => {
      rig.source.table('shop', 'orders').load(loadRecording('7-extra/wrap.recv.bin').bytes);
      const writer = await rig.write();
      // One event at a time and a new reader for each: every one resumes within the wrapped range.
      for (let events = 1; events <= 7; events += 1) {
        const reader = rig.start({ reader: { maxBatchEvents: 1, maxQueuedBatches: 1 }, timeouts: { resumeMs: 300 } });
        await expect.poll(() => writer.lines.length, wait).toBeGreaterThanOrEqual(events);
        await reader.stop();
      }
      const last = parsePosition(writer.batches.at(-1)?.last ?? '');
      // The binlog's own position when this was recorded was 0-1-4294967299,4294967295-1-1.
      expect([...last.values()].map(({ domain, sequence }) => [domain, sequence])).toEqual([
        [0n, 4294967299n],
        [4294967295n, 1n],
      ]);
      expect(writer.lines).toEqual(loadRecording('7-extra/wrap.recv.bin').lines);
    });
  });
});
