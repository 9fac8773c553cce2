import { describe, expect, it } from 'vitest';
import { FlightWindow } from '../src/flight-window.js';

const forever = new AbortController().signal;
const settled = async (promise: Promise<unknown>): Promise<boolean> => {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};

describe('the flight window', () => {
  it('has room until it holds its batches or its bytes, and again when some were applied', async () => {
    const window = new FlightWindow({ maxBatches: 2, maxBytes: 100 });
    await window.waitForRoom(60, forever);
    window.add({ jobId: 'a', lastOrdinal: 10n, bytes: 60 });
    const tooLarge = window.waitForRoom(60, forever);
    expect(await settled(tooLarge)).toBe(false);
    expect(window.land(9n)).toBe(0);
    expect(window.land(10n)).toBe(1);
    await tooLarge;
    window.add({ jobId: 'b', lastOrdinal: 11n, bytes: 1 });
    window.add({ jobId: 'c', lastOrdinal: 12n, bytes: 1 });
    const third = window.waitForRoom(1, forever);
    expect(await settled(third)).toBe(false);
    expect(window.land(100n)).toBe(2);
    await third;
    expect([window.size, window.bytes]).toEqual([0, 0]);
  });

  it('lets a batch that is larger than the whole window go alone', async () => {
    const window = new FlightWindow({ maxBatches: 2, maxBytes: 100 });
    await window.waitForRoom(1000, forever);
    window.add({ jobId: 'a', lastOrdinal: 1n, bytes: 1000 });
    expect(await settled(window.waitForRoom(1, forever))).toBe(false);
  });

  it('stops waiting when it is told to', async () => {
    const window = new FlightWindow({ maxBatches: 1, maxBytes: 100 });
    window.add({ jobId: 'a', lastOrdinal: 1n, bytes: 1 });
    const stop = new AbortController();
    const waiting = window.waitForRoom(1, stop.signal);
    stop.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});
