import { expect, it } from 'vitest';
import { ResetDetector } from '../src/reset-detector.js';

it('takes an old event that is younger than all that was accepted as one of another history', () => {
  const resets = new ResetDetector(1_000_000);
  expect(resets.isFromAnotherHistory(999_000)).toBe(false);
  expect(resets.isFromAnotherHistory(1_000_600)).toBe(false);
  expect(resets.isFromAnotherHistory(1_000_601)).toBe(true);
  resets.accept(2_000_000);
  resets.accept(1_500_000);
  expect(resets.isFromAnotherHistory(2_000_600)).toBe(false);
  expect(resets.isFromAnotherHistory(2_000_601)).toBe(true);
});

it('suspects nothing before it knows how young the events of this history are', () => {
  const resets = new ResetDetector(undefined);
  expect(resets.isFromAnotherHistory(4_000_000_000)).toBe(false);
  resets.accept(1_000_000);
  expect(resets.isFromAnotherHistory(4_000_000_000)).toBe(true);
});
