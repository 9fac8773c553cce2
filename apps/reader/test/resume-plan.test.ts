import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextResume, type ResumeEvent, type ResumeState, startResume } from '../src/resume-plan.js';

const target = { gtid: '0-1-14', fileVersion: 3 };
const events: readonly ResumeEvent[] = [
  'no-file',
  'schema',
  'covered',
  'anchor',
  'new',
  'schemaless',
  'glance',
  'silence',
];

const run = (from: typeof target | null, ...steps: ResumeEvent[]): ResumeState =>
  steps.reduce((state, event) => nextResume(state, event, from), startResume(from));
const describeState = (state: ResumeState): string => {
  if (state.kind !== 'requesting') return state.kind;
  const { way, fresh } = state;
  const gtid = way.kind === 'checkpoint' ? ` ${way.gtid}` : '';
  return `${way.kind} ${way.version}${gtid}${fresh ? '' : ' on the same connection'}`;
};

describe('resuming', () => {
  it.each<[string, ResumeEvent[], string]>([
    ['asks for the file and the GTID of the last event', [], 'checkpoint 3 0-1-14'],
    ['streams when that event comes first', ['schema', 'anchor'], 'streaming'],
    ['passes over the events before it', ['schema', 'covered', 'covered', 'anchor'], 'streaming'],
    ['reads the file from its start when the GTID brings nothing', ['schema', 'silence'], 'file 3'],
    ['reads the file from its start when the GTID brings something newer first', ['schema', 'new'], 'file 3'],
    ['reads from version 1 when that file brings something newer first', ['new', 'covered', 'new'], 'scan 1'],
    ['reads from version 1 when that file brings nothing more', ['new', 'covered', 'silence'], 'scan 1'],
    ['reads from version 1 when there is no such file', ['no-file'], 'scan 1 on the same connection'],
    ['tries later versions when the first is gone', ['no-file', 'no-file'], 'scan 2 on the same connection'],
    ['waits on the last way, where silence only means that nothing is there yet', ['new', 'new', 'silence'], 'scan 1'],
    ['has lost its place when the last way brings something newer first', ['new', 'new', 'covered', 'new'], 'lost'],
    ['asks again on a fresh connection after rows without their schema', ['schemaless'], 'checkpoint 3 0-1-14'],
  ])('%s', (_, steps, expected) => {
    expect(describeState(run(target, ...steps))).toBe(expected);
  });

  it('does not read a first file twice from its start', () => {
    expect(describeState(nextResume(startResume({ ...target, fileVersion: 1 }), 'new', target))).toBe('scan 1');
  });
});

describe('resuming after a snapshot, at whose position no event stands', () => {
  const snapshot = { gtid: null, fileVersion: 1 };
  const after = (...steps: ResumeEvent[]): string =>
    describeState(steps.reduce((state, event) => nextResume(state, event, snapshot), startResume(snapshot)));

  it('reads the files from version 1', () => expect(after()).toBe('scan 1'));
  it('streams as soon as it has a schema, whatever comes first', () => {
    expect(after('schema')).toBe('streaming');
    expect(after('schema', 'covered', 'new')).toBe('streaming');
  });
  it('tries later versions when the first is gone', () => {
    expect(after('no-file', 'no-file')).toBe('scan 3 on the same connection');
  });
});

describe('starting without an offset', () => {
  it.each<[string, ResumeEvent[], string]>([
    ['asks for version 1', [], 'scan 1'],
    ['streams with the first schema line', ['schema'], 'streaming'],
    ['asks for the next version on the same connection', ['no-file'], 'scan 2 on the same connection'],
  ])('%s', (_, steps, expected) => {
    expect(describeState(run(null, ...steps))).toBe(expected);
  });

  it('leaves the request for version 1 open when no version exists, and starts over when anything comes or nothing for long', () => {
    let state = startResume(null);
    const asked: string[] = [];
    while (state.kind === 'requesting') {
      asked.push(describeState(state));
      state = nextResume(state, 'no-file', null);
    }
    expect(state.kind).toBe('waiting');
    expect(asked.length).toBeGreaterThan(10);
    expect(asked.at(-1)).toBe('scan 1 on the same connection');
    for (const event of ['schemaless', 'schema', 'silence'] as const) {
      expect(describeState(nextResume(state, event, null))).toBe('scan 1');
    }
  });

  it('glances at a few versions on the same connection, and leaves the request for version 1 open again', () => {
    let state = startResume(null);
    while (state.kind === 'requesting') state = nextResume(state, 'no-file', null);
    state = nextResume(state, 'glance', null);
    const asked: string[] = [];
    while (state.kind === 'requesting') {
      asked.push(describeState(state));
      state = nextResume(state, 'no-file', null);
    }
    expect(asked).toEqual([1, 2, 3, 4, 1].map((version) => `scan ${version} on the same connection`));
    expect(state.kind).toBe('waiting');
  });

  it('begins with version 1 where the first row comes in the middle of a glance, however many versions there are by then', () => {
    let state = startResume(null);
    while (state.kind === 'requesting') state = nextResume(state, 'no-file', null);
    for (const event of ['glance', 'no-file', 'no-file', 'schemaless'] as const) state = nextResume(state, event, null);
    expect(describeState(state)).toBe('scan 1');
  });
});

describe('whatever happens', () => {
  const step = fc.constantFrom(...events);

  it('no stream that has an offset flows before its last event has come again', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const index = steps.findIndex((_, i) => run(target, ...steps.slice(0, i + 1)).kind === 'streaming');
        expect(index === -1 || steps[index] === 'anchor').toBe(true);
      }),
    );
  });

  it('a lost position is only declared after every way, and on something newer', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let state = startResume(target);
        for (const event of steps) {
          const before = state;
          state = nextResume(state, event, target);
          if (state.kind !== 'lost' || before.kind === 'lost') continue;
          expect([event, before.kind === 'requesting' && before.way.kind]).toEqual(['new', 'scan']);
        }
      }),
    );
  });
});
