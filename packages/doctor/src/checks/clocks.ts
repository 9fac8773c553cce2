import { type Check, notice, ok, type Outcome, warning } from '../finding.js';
import { formatDuration } from '../texts.js';

export interface ClockSubject {
  /** How far the server's clock is ahead of this machine's. */
  readonly aheadMs: number;
}

const tolerableMs = 2_000;
const badMs = 60_000;

/** Times of events are MariaDB's, times of application PostgreSQL's; lag and as-of compare the two. */
export const clockCheck: Check<ClockSubject> = {
  name: 'clock',
  look: ({ aheadMs }): Outcome => {
    const apart = Math.abs(aheadMs);
    if (apart < tolerableMs) return ok("the clock agrees with this machine's");
    const text = `its clock is ${formatDuration(apart / 1000)} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's: lag, and moments in history, are off by that`;
    const fix = 'let NTP set the clocks of all machines (timedatectl set-ntp true)';
    return apart < badMs ? notice(text, fix) : warning(text, fix);
  },
};
