import { describe } from 'vitest';
import { describeReplay } from './comparison.js';
import { readRecordings } from './recordings.js';

const recordings = await readRecordings('3-dml', '4-ddl', '5-resume', '6-ops', '7-extra');

describe('recorded inserts, updates, deletes and schema changes', () => {
  describeReplay(recordings);
});

describe('the same over connections that break', () => {
  describeReplay(recordings, { breaks: true });
});
