import { describe, expect, it } from 'vitest';
import { describeProgress } from '../src/snapshot-board.js';

describe('the progress of a copy', () => {
  const progress = { phase: 'copying' as const, rows: 1_200_000, bytes: 96_000_000, estimatedRows: 5_000_000 };

  it('has rows, bytes, rate and the time that is left', () => {
    expect(describeProgress(progress, 6_000)).toBe(
      '1,200,000 of about 5,000,000 rows, 96 MB, 200,000 rows/s, 19 s left',
    );
  });

  it('does not promise an end where MariaDB estimated too low', () => {
    expect(describeProgress({ ...progress, estimatedRows: 10 }, 6_000)).toBe('1,200,000 rows, 96 MB, 200,000 rows/s');
  });

  it('says what is done after the last row', () => {
    expect(describeProgress({ ...progress, phase: 'settling' }, 6_000)).toBe(
      '1,200,000 rows, 96 MB, becoming the mirror',
    );
  });
});
