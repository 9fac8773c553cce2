import type { AreaReport, FindingGroup, Report, Severity } from '@afterimage/doctor';
import { type Config, exitCodes, resolveTables, toPrintable } from '@afterimage/service';
import { Command } from 'commander';
import { printJson } from '../output.js';
import { type CommonOptions, parseCount, readConfig, usageError, withCommonOptions } from '../options.js';

interface DoctorOptions extends CommonOptions {
  readonly source?: string;
  readonly table?: string;
  readonly all?: boolean;
  readonly strict?: boolean;
  readonly timeout: number;
}

/** It brings BullMQ along, which takes most of the time that a command needs to start: others do without. */
const loadDoctor = async () => import('@afterimage/doctor');

/** `afterimage doctor` */
export function createDoctorCommand(): Command {
  const command = new Command('doctor')
    .description(
      'look at MariaDB, MaxScale, queue, PostgreSQL and the streams, and say what is wrong and how to mend it',
    )
    .option('--source <name>', 'only this source')
    .option('--table <name>', 'only this table, database.table')
    .option('--all', 'show what is well, too')
    .option('--strict', 'end with 3 for warnings, and for what could not be checked, too')
    .option('--timeout <seconds>', 'for each server', parseCount, 10)
    .option('--json', 'JSON for scripts');
  const texts = {
    example:
      'afterimage doctor\nafterimage doctor --table shop.orders --all\nafterimage doctor --json | jq ".findings[] | select(.severity == \\"error\\")"',
    codes: ', 3 an error was found (--strict: or a warning)',
  };
  return withCommonOptions(command, texts).action(async (options: DoctorOptions) => {
    const config = readConfig(options);
    requireKnown(config, options);
    const { source, table, timeout, json = false, strict = false } = options;
    const { examine, isTroubled } = await loadDoctor();
    const report = await examine(config, { source, table, timeoutMs: timeout * 1000 });
    if (json) printJson({ counts: report.counts, findings: report.findings });
    else await printReport(report, config, options);
    if (isTroubled(report, { strict })) process.exitCode = exitCodes.difference;
  });
}

/** A name that is nowhere would make everything look well. */
function requireKnown({ sources }: Config, { source, table }: DoctorOptions): void {
  const names = Object.keys(sources);
  if (source !== undefined && !names.includes(source)) {
    throw usageError(`no source ${toPrintable(source)} in the configuration: it has ${names.join(', ')}`);
  }
  if (table === undefined) return;
  const tables = Object.entries(sources)
    .filter(([name]) => source === undefined || name === source)
    .flatMap(([name, settings]) => resolveTables(name, settings).map((t) => `${t.database}.${t.table}`));
  if (!tables.includes(table)) {
    throw usageError(`no table ${toPrintable(table)} in the configuration; it has ${tables.slice(0, 20).join(', ')}`);
  }
}

const marks: Readonly<Record<Severity, string>> = {
  error: '✗ error  ',
  warning: '! warning',
  unknown: '? unknown',
  notice: '· notice ',
  ok: '✓ ok     ',
};
const indent = ' '.repeat(12);

async function printReport(report: Report, config: Config, { all = false }: DoctorOptions): Promise<void> {
  const { groupFindings, severities } = await loadDoctor();
  const shown = severities.filter((severity) => all || severity !== 'ok');
  const areas = groupFindings(report, shown);
  const sources = Object.keys(config.sources);
  // What there is only one of needs no name.
  const plain = new Set(['PostgreSQL', 'Redis', 'queue in PostgreSQL', 'processes']);
  if (sources.length === 1) plain.add(`source ${sources[0]}`);
  if (areas.length > 0) console.log(`${areas.map((area) => describeArea(area, plain)).join('\n\n')}\n`);
  console.log(summarise(report, all));
}

function describeArea({ area, groups }: AreaReport, plain: ReadonlySet<string>): string {
  return [area, ...groups.map((group) => describeGroup(group, plain))].join('\n');
}

/** One line for what is, one for what to do. */
function describeGroup({ severity, subjects, text, fix }: FindingGroup, plain: ReadonlySet<string>): string {
  const [first = ''] = subjects;
  const names =
    subjects.length <= 4 ? subjects.join(', ') : `${subjects.slice(0, 3).join(', ')} and ${subjects.length - 3} more`;
  const about = plain.has(names) ? '' : `${toPrintable(names)}: `;
  const line = `  ${marks[severity]} ${about}${toPrintable(text)}`;
  if (fix === null) return line;
  const isOfFirst = subjects.length > 1 && fix.includes(first.split('.').at(-1) ?? first);
  return `${line}\n${indent}→ ${toPrintable(fix)}${isOfFirst ? ' (the others likewise)' : ''}`;
}

function summarise({ counts }: Report, all: boolean): string {
  const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  const parts = [
    ...(counts.error > 0 ? [plural(counts.error, 'error')] : []),
    ...(counts.warning > 0 ? [plural(counts.warning, 'warning')] : []),
    ...(counts.unknown > 0 ? [`${counts.unknown} not checked`] : []),
    ...(counts.notice > 0 ? [plural(counts.notice, 'notice')] : []),
    `${plural(counts.ok, 'check')} passed${all || counts.ok === 0 ? '' : ' (--all shows them)'}`,
  ];
  return parts.join(', ');
}
