import {
  configuredSettings,
  type DeadLetter,
  discardDeadLetters,
  findStream,
  listDeadLetters,
  listStreamRecords,
  type RetryResult,
  retryDeadLetter,
  showDeadLetter,
} from '@afterimage/replica';
import { type Config, exitCodes, toPrintable } from '@afterimage/service';
import { Command, Option } from 'commander';
import type { Pool } from 'pg';
import { withDatabase } from '../database.js';
import { CommandError } from '../failures.js';
import { formatMoment, printJson, renderTable } from '../output.js';
import { type CommonOptions, parseCount, readConfig, usageError, withCommonOptions } from '../options.js';

/** Enough to act on every letter of a stream that is not beyond help. */
const everyLetter = 1_000_000;

/** `afterimage dead-letter list|show|retry|discard` */
export function createDeadLetterCommand(): Command {
  return new Command('dead-letter')
    .description('events that PostgreSQL refused: list, show, retry or discard them')
    .addCommand(createListCommand())
    .addCommand(createShowCommand())
    .addCommand(createRetryCommand())
    .addCommand(createDiscardCommand());
}

interface ListOptions extends CommonOptions {
  readonly state: DeadLetter['state'] | 'all';
  readonly limit: number;
}

function createListCommand(): Command {
  const command = new Command('list')
    .description('dead letters in stream order, the oldest first')
    .argument('[table]', 'database.table, or source/database.table')
    .addOption(
      new Option('--state <state>', 'which')
        .choices(['pending', 'applied', 'superseded', 'discarded', 'all'])
        .default('pending'),
    )
    .option('-l, --limit <n>', 'how many at most', parseCount, 100)
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage dead-letter list shop.orders' }).action(
    async (table: string | undefined, options: ListOptions) => {
      const letters = await withDatabase(readConfig(options), (pool) => selectLetters(pool, table, options));
      if (options.json === true) return printJson(letters);
      if (letters.length === 0) return console.log('no dead letters');
      const rows = letters.map((l) => [
        l.id,
        `${l.database}.${l.table}`,
        l.position,
        l.state,
        l.sqlstate,
        shorten(l.message, 70),
        formatMoment(l.createdAt),
      ]);
      console.log(renderTable(['ID', 'TABLE', 'POSITION', 'STATE', 'SQLSTATE', 'CAUSE', 'SINCE'], rows));
    },
  );
}

async function selectLetters(
  pool: Pool,
  table: string | undefined,
  { state, limit }: Pick<ListOptions, 'state' | 'limit'>,
) {
  const stream = table === undefined ? {} : { streamId: (await findStream(pool, table)).id };
  return listDeadLetters(pool, { ...stream, state, limit });
}

function createShowCommand(): Command {
  const command = new Command('show')
    .description('one dead letter with its raw event')
    .argument('<id>', 'its id')
    .option('--json', 'JSON for scripts');
  return withCommonOptions(command, { example: 'afterimage dead-letter show 3' }).action(
    async (id: string, options: CommonOptions) => {
      const letter = await withDatabase(readConfig(options), (pool) => showDeadLetter(pool, parseId(id)));
      if (letter === undefined)
        throw usageError(`there is no dead letter ${id}: see \`afterimage dead-letter list --state all\``);
      if (options.json === true) return printJson(letter);
      const facts = [
        ['table', `${letter.database}.${letter.table} of ${letter.source}`],
        [
          'position',
          `${letter.position} (event ${letter.ordinal} of the stream, schema version ${letter.schemaVersion})`,
        ],
        ['state', letter.state + (letter.resolvedAt === null ? '' : ` since ${formatMoment(letter.resolvedAt)}`)],
        ['since', formatMoment(letter.createdAt)],
        ['cause', letter.message],
        ...letter.raw.split('\n').map((line) => ['event', line]),
      ];
      for (const [name = '', value = ''] of facts) console.log(`${name.padEnd(10)}${toPrintable(value)}`);
    },
  );
}

interface ChoiceOptions extends CommonOptions {
  readonly table?: string;
  readonly all?: boolean;
}

function withChoice(command: Command): Command {
  return command
    .argument('[ids...]', 'which ones')
    .option('-t, --table <table>', 'all pending ones of this table')
    .option('--all', 'all pending ones')
    .option('--json', 'JSON for scripts');
}

/** The pending letters that ids, --table or --all mean, in the order in which they are to be retried. */
async function chooseLetters(
  pool: Pool,
  ids: readonly string[],
  { table, all = false }: ChoiceOptions,
): Promise<DeadLetter[]> {
  if ([ids.length > 0, table !== undefined, all].filter(Boolean).length !== 1) {
    throw usageError('say which ones: ids, --table <table> or --all');
  }
  const wanted = new Set(ids.map(parseId));
  const pending = await selectLetters(pool, table, { state: 'pending', limit: everyLetter });
  const chosen = ids.length === 0 ? pending : pending.filter((letter) => wanted.has(letter.id));
  const missing = [...wanted].filter((id) => !chosen.some((letter) => letter.id === id));
  if (missing.length > 0)
    throw usageError(
      `not pending or not there: ${missing.join(', ')}; see \`afterimage dead-letter list --state all\``,
    );
  return chosen;
}

function createRetryCommand(): Command {
  const command = withChoice(
    new Command('retry').description(
      'try to apply dead letters again, in stream order; newer rows are never overwritten',
    ),
  );
  const texts = {
    example: 'afterimage dead-letter retry 3 4\nafterimage dead-letter retry --table shop.orders',
    codes: ', 3 some were refused again',
  };
  return withCommonOptions(command, texts).action(async (ids: string[], options: ChoiceOptions) => {
    const config = readConfig(options);
    const results = await withDatabase(config, async (pool) =>
      retryAll(pool, config, await chooseLetters(pool, ids, options)),
    );
    if (options.json === true) printJson(results);
    else console.log(describeResults(results));
    if (results.some(({ kind }) => kind === 'refused')) process.exitCode = exitCodes.difference;
  });
}

async function retryAll(pool: Pool, config: Config, letters: readonly DeadLetter[]): Promise<RetryResult[]> {
  const settingsOf = configuredSettings(config);
  const streams = new Map((await listStreamRecords(pool)).map((stream) => [stream.id, stream]));
  const results: RetryResult[] = [];
  for (const { id, streamId } of letters) {
    const stream = streams.get(streamId);
    if (stream === undefined) throw new CommandError(`the stream of dead letter ${id} is gone`);
    results.push(await retryDeadLetter(pool, { stream, settingsOf, id }));
  }
  return results;
}

const retryTexts: Readonly<Record<RetryResult['kind'], string>> = {
  applied: 'applied',
  superseded: 'now in history; newer events had decided the row already',
  refused: 'refused again',
  'not-pending': 'not pending any more',
};

function describeResults(results: readonly RetryResult[]): string {
  if (results.length === 0) return 'no dead letters';
  return renderTable(
    ['ID', 'RESULT', ''],
    results.map(({ id, kind, message }) => [id, retryTexts[kind], shorten(message ?? '', 90)]),
  );
}

function createDiscardCommand(): Command {
  const command = withChoice(
    new Command('discard').description('give dead letters up; they stay in the table, raw, for the record'),
  );
  return withCommonOptions(command, { example: 'afterimage dead-letter discard 3' }).action(
    async (ids: string[], options: ChoiceOptions) => {
      const discarded = await withDatabase(readConfig(options), async (pool) => {
        const letters = await chooseLetters(pool, ids, options);
        return discardDeadLetters(
          pool,
          letters.map((letter) => letter.id),
        );
      });
      if (options.json === true) printJson({ discarded });
      else console.log(`discarded: ${discarded}`);
    },
  );
}

function parseId(text: string): string {
  if (!/^\d{1,18}$/.test(text))
    throw usageError(`${toPrintable(text)} is not the id of a dead letter: ids are numbers`);
  return text;
}

function shorten(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
