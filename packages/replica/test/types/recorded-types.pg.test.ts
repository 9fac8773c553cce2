import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEmptyDatabase, type TestDatabase } from '../../../../test/harness/databases.js';
import { mapColumn } from '../../src/types/index.js';
import { expectText, trimNumber } from './oracle.js';
import { readRecordings, type Recording } from './recordings.js';
import { convertLines, settings } from './conversion.js';
import { bentByStream, type Deviation } from './deviations.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createEmptyDatabase();
});

afterAll(async () => {
  await database.drop();
});

const FOLDERS = ['2-types', '2-types-show-create'] as const;
const KNOWLEDGE = ['stream', 'type'] as const;

for (const folder of FOLDERS) {
  for (const known of KNOWLEDGE) {
    describe(`what MaxScale sent for each type, ${folder}, with knowledge of the ${known}`, () => {
      it.each(readRecordings(folder).map((recording) => [recording.name, recording] as const))(
        '%s becomes what was inserted, or is counted as lost, or is a listed ambiguity',
        async (name, recording) => {
          const { rows, labelled, isNumber } = await convert(recording, known === 'type');
          const got = rows.map(({ text, lost }, i) => describeOutcome({ text, lost: lost === true }, recording.literals[i] ?? '', isNumber));
          const wanted = recording.literals.map((literal) => {
            const deviation = bentByStream({ name, literal, folder, known });
            const exact = { kind: 'exact', text: expectText(recording.type, literal, labelled) } as const;
            return describeWanted(deviation, exact.text, literal, isNumber);
          });
          expect(got).toEqual(wanted);
        },
      );
    });
  }
}

async function convert(recording: Recording, typeKnown: boolean) {
  const mapping = mapColumn(recording.field, typeKnown ? { type: recording.type } : undefined, settings);
  const isNumber = /^(?:numeric|real|double)/.test(mapping.postgresType);
  const rows = await convertLines(database.pool, mapping, recording.lines);
  return { rows, labelled: mapping.postgresType === 'text', isNumber };
}

interface Outcome {
  readonly text: string | null;
  readonly lost: boolean;
}

function describeOutcome({ text, lost }: Outcome, literal: string, isNumber: boolean): string {
  return `${literal} → ${text !== null && isNumber ? canonical(text) : (text ?? 'null')}${lost ? ' (lost)' : ''}`;
}

function describeWanted(deviation: Deviation | null, exact: string | null, literal: string, isNumber: boolean): string {
  const { text, lost } = deviation ?? { text: exact, lost: false };
  return describeOutcome({ text: text === undefined ? exact : text, lost }, literal, isNumber);
}

/** Numbers are compared as numbers: 1.10 is 1.1, and 1e+17 is 100000000000000000. */
function canonical(text: string): string {
  return text.includes('e') ? String(Number(text)) : trimNumber(text);
}
