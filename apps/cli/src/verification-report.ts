import { toPrintable } from '@afterimage/service';
import { countDifferences, type Sample, type TableVerification } from '@afterimage/verification';
import { formatCount, formatRows, renderTable } from './output.js';

const right = (title: string) => ({ title, align: 'right' as const });
const shownSamples = 5;

/** A line for each table, then what differs. */
export function describeVerifications(results: readonly TableVerification[]): string {
  const table = renderTable(
    ['TABLE', right('ROWS'), right('MISSING'), right('EXTRA'), right('DIFFERENT'), 'RESULT'],
    results.map((result) => [
      `${result.database}.${result.table}`,
      formatCount(result.rows),
      formatCount(result.missing),
      formatCount(result.extra),
      formatCount(result.different),
      describeOutcome(result),
    ]),
  );
  return [table, ...results.flatMap((result) => describeDetails(result))].join('\n');
}

function describeOutcome(result: TableVerification): string {
  switch (result.outcome) {
    case 'equal':
      return '✓ equal';
    case 'different':
      return `✗ ${result.truncated ? 'at least ' : ''}${formatCount(countDifferences(result))} different`;
    case 'unsettled':
      return `? ${formatCount(result.unsettled)} rows keep changing: try again`;
    case 'failed':
      return '✗ could not be compared';
  }
}

function describeDetails(result: TableVerification): string[] {
  const { message, findings, columns, samples } = result;
  const name = toPrintable(`${result.database}.${result.table}`);
  const counts = Object.entries(columns).map(([column, rows]) => `${toPrintable(column)} in ${formatRows(rows)}`);
  const lines = [
    ...(message === null ? [] : [toPrintable(message)]),
    ...findings.map(({ column, detail }) => `column ${toPrintable(column)}: ${detail}`),
    ...(counts.length === 0 ? [] : [`differs: ${counts.join(', ')}`]),
    ...samples.slice(0, shownSamples).map((sample) => describeSample(sample)),
  ];
  return lines.length === 0 ? [] : ['', `${name}:`, ...lines.map((line) => `  ${line}`)];
}

function describeSample({ kind, key, column, source, mirror }: Sample): string {
  const row = key === null ? 'a row' : `row ${toPrintable(key.join(', '))}`;
  const quote = (value: string | null): string => (value === null ? 'NULL' : toPrintable(JSON.stringify(value)));
  switch (kind) {
    case 'missing':
      return `${row} is only in MariaDB: ${quote(source)}`;
    case 'extra':
      return mirror === null ? `${row} is only in the mirror` : `${row} is only in the mirror: ${quote(mirror)}`;
    case 'different':
      return `${row}, ${toPrintable(column ?? '')}: ${quote(source)} in MariaDB, ${quote(mirror)} in the mirror`;
  }
}
