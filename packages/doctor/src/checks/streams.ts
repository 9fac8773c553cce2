import type { Config } from '@afterimage/service';
import type { StreamProgress } from '../facts/progress.js';
import { type Check, failure, notice, ok, type Outcome, warning } from '../finding.js';
import { countOf, formatDuration, listSome } from '../texts.js';
import { readPosition } from './maxscale.js';

export interface StreamSubject {
  readonly stream: StreamProgress;
  readonly isConfigured: boolean;
  readonly isRead: boolean;
  /** What MariaDB's binary log ends with; undefined where it was not asked. */
  readonly binlogPosition: string | null | undefined;
  readonly now: number;
}

const patienceMs = 120_000;

export const streamChecks: readonly Check<StreamSubject>[] = [
  {
    name: 'writer-state',
    look: ({ stream: { state, stateCode, stateMessage, stateSince }, isConfigured, now }) => {
      if (!isConfigured || state !== 'halted') return null;
      return failure(
        `halted for ${ageOf(stateSince, now)} (${stateCode ?? 'no code'}): ${stateMessage ?? ''}`,
        `see ${stateCode} in the runbook of docs/operations.md`,
      );
    },
  },
  {
    name: 'dead-letters',
    look: ({ stream: { deadLetters, database, table } }) =>
      deadLetters === 0
        ? null
        : warning(
            `${countOf(deadLetters, 'row')} that PostgreSQL refused ${deadLetters === 1 ? 'waits' : 'wait'} as dead letters`,
            `afterimage dead-letter list ${database}.${table}; remove the cause, then afterimage dead-letter retry`,
          ),
  },
  { name: 'reader-state', look: checkReader },
  { name: 'position', look: checkPosition },
  {
    name: 'lost-values',
    look: ({ stream: { unreliable } }) => {
      const lost = unreliable.filter(({ values }) => values > 0);
      if (lost.length === 0) return null;
      const texts = lost.map(({ column, values }) => `${column} ${values.toLocaleString('en-US')}`);
      return warning(
        `values that the stream lost or bent have come: ${listSome(texts)}`,
        'afterimage verify finds the rows, afterimage repair mends them',
      );
    },
  },
];

function ageOf(since: Date, now: number): string {
  return formatDuration(Math.max(0, (now - since.getTime()) / 1000));
}

function checkReader({ stream, isConfigured, isRead, now }: StreamSubject): Outcome | null {
  const { readerState, readerCode, readerMessage, readerSince } = stream;
  if (!isConfigured) return notice('it is not in the configuration any more: nothing is read or applied', null);
  if (!isRead || readerCode === null) return null;
  const since = ageOf(readerSince, now);
  if (readerState === 'halted')
    return failure(`the reader halted it for ${since} (${readerCode}): ${readerMessage}`, runbook(readerCode));
  const isStuck = readerState === 'retrying' && now - readerSince.getTime() > patienceMs;
  return isStuck
    ? warning(`the reader has been trying again for ${since} (${readerCode}): ${readerMessage}`, runbook(readerCode))
    : null;
}

function runbook(code: string): string {
  return `see ${code} in the runbook of docs/operations.md`;
}

/** What was applied must be part of what the server has logged. */
function checkPosition({ stream: { position }, binlogPosition }: StreamSubject): Outcome | null {
  if (binlogPosition === undefined || binlogPosition === null || position === '') return null;
  const logged = readPosition(binlogPosition);
  const ahead = [...readPosition(position)].filter(([domain, sequence]) => sequence > (logged.get(domain) ?? 0n));
  if (ahead.length === 0) return ok('what was applied is part of what MariaDB has logged');
  return failure(
    `${position} was applied, but MariaDB's binary log ends at ${binlogPosition}: it is another server, was restored from a backup, or began anew (RESET MASTER)`,
    'compare sources.<name>.mariadb.url with the server that MaxScale reads; if it began anew, copy the table anew (afterimage snapshot)',
  );
}

export interface InstallationSubject {
  readonly config: Config;
  readonly sources: readonly string[];
  readonly readSources: ReadonlySet<string>;
  readonly hasWriters: boolean;
  readonly hasStreams: boolean;
}

export const installationChecks: readonly Check<InstallationSubject>[] = [
  {
    name: 'reader-present',
    look: ({ sources, readSources, hasStreams }) =>
      sources.map((source) => {
        if (readSources.has(source)) return ok(`a reader reads source ${source}`);
        const text = `no reader reads source ${source}`;
        return hasStreams ? failure(text, 'afterimage reader') : notice(`${text} yet`, 'afterimage reader');
      }),
  },
  {
    name: 'writer-present',
    look: ({ hasWriters, hasStreams }) => {
      if (hasWriters) return ok('writers are running');
      const fix = 'afterimage writer --count 2';
      return hasStreams ? failure('no writer is running', fix) : notice('no writer is running yet', fix);
    },
  },
];
