import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { heapArguments } from '../src/heap-limit.js';

const limitOf = (args: readonly string[]): number =>
  Number(
    execFileSync(process.execPath, [...args, '-p', 'v8.getHeapStatistics().heap_size_limit / 2 ** 20'], {
      encoding: 'utf8',
    }),
  );

describe('the heap of a long-running process', () => {
  it('stays below 2 GB', () => {
    expect(limitOf(heapArguments({}))).toBeLessThan(2048);
  });

  it('is as large as NODE_OPTIONS say', () => {
    expect(heapArguments({ NODE_OPTIONS: '--enable-source-maps --max-old-space-size=8000' })).toEqual([]);
    expect(heapArguments({ NODE_OPTIONS: '--max_old_space_size=300' })).toEqual([]);
  });
});
