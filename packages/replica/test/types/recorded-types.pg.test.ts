import { afterAll, beforeAll, describe, expect, it } from 'vitest';
// @boundaries-ignore the harness that all tests share
import { createEmptyDatabase, type TestDatabase } from '../../../../test/harness/databases.js';
import { mapColumn } from '../../src/types/index.js';
import { convertLines, settings } from './conversion.js';
import { findDeviation, listUnseen } from './deviations.js';
import { expectText, trimNumber } from './oracle.js';
import { readRecordings, type Recording } from './recordings.js';

let database: TestDatabase;

beforeAll(async () => {
  database = await createEmptyDatabase();
});

afterAll(async () => {
  await database.drop();
});

const SITUATIONS = (['2-types', '2-types-show-create'] as const).flatMap((folder) =>
  (['stream', 'type'] as const).map((known) => ({ folder, known })),
);

describe.each(SITUATIONS)('values recorded in $folder, with knowledge of the $known', ({ folder, known }) => {
  it.each(readRecordings(folder).map((recording) => [recording.name, recording] as const))(
    '%s comes out as it was inserted, or as listed among the losses and ambiguities',
    async (name, recording) => {
      const { rows, postgresType } = await convert(recording, known === 'type');
      const got = rows.map(({ text, lost }, i) =>
        describeOutcome(recording.literals[i], simplify(text, postgresType), lost === '1'),
      );
      const wanted = recording.literals.map((literal) => {
        const exact = simplify(expectText(recording.type, literal, postgresType === 'text'), postgresType);
        const deviation = findDeviation({ name, literal, folder, known });
        return describeOutcome(
          literal,
          deviation?.text === undefined ? exact : deviation.text,
          deviation?.lost ?? false,
        );
      });
      expect(got).toEqual(wanted);
    },
  );
});

it('every listed loss and ambiguity was met', () => {
  expect(listUnseen()).toEqual([]);
});

async function convert(recording: Recording, typeKnown: boolean) {
  const mapping = mapColumn(recording.field, typeKnown ? { type: recording.type } : undefined, settings);
  return { rows: await convertLines(database.pool, mapping, recording.lines), postgresType: mapping.postgresType };
}

function describeOutcome(literal: string | undefined, text: string | null, lost: boolean): string {
  return `${literal ?? 'unexpected row'} → ${text ?? 'null'}${lost ? ' (counted)' : ''}`;
}

/** Numbers are compared by their value: 1.10 is 1.1, and 1e+17 is 100000000000000000. */
function simplify(text: string | null, postgresType: string): string | null {
  if (text === null) {
    return null;
  }
  if (postgresType === 'real') {
    return String(Math.fround(Number(text)));
  }
  if (postgresType === 'double precision') {
    return String(Number(text));
  }
  return postgresType.startsWith('numeric') ? trimNumber(text) : text;
}
