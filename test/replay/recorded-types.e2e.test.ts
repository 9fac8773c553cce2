import { describe } from 'vitest';
import { describeReplay } from './comparison.js';
import { readRecordings } from './recordings.js';

const written = await readRecordings('2-types');
const shown = await readRecordings('2-types-show-create');

describe('recorded types, as the DDL in the binary log names them', () => {
  describeReplay(written);
});
describe('recorded types, as SHOW CREATE TABLE names them', () => {
  describeReplay(shown);
});
