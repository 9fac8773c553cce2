import { type Document, isMap, isNode, isScalar, isSeq, type LineCounter } from 'yaml';
import type { z } from 'zod';
import { descendSettings, readSettingTree } from './setting-tree.js';
import { findNearestName } from './nearest-name.js';
import { toPrintable } from './printable.js';
import { redactUrl } from './redact.js';

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;
type Parent = { readonly [key: string]: unknown } | readonly unknown[] | undefined;

/** One thing wrong in the configuration file. */
export interface ConfigProblem {
  /** Line in the file, from 1; undefined for what the file does not hold. */
  readonly line: number | undefined;
  /** Setting, `sources.shop.port`; empty for the file as a whole. */
  readonly setting: string;
  /** What is wrong and what to write instead; goes on from the setting's name. */
  readonly text: string;
}

/** `sources.shop.tables."shop.orders".key`: keys that hold a dot or what could be taken for other text are quoted. */
export function formatSetting(path: Path): string {
  const quote = (part: string) => (/[.\s"\p{C}]/u.test(part) ? toPrintable(JSON.stringify(part)) : part);
  return path.map((part) => quote(String(part))).join('.');
}

/** Environment variable that holds a source's password, or the URL of its MariaDB. */
export function sourceVariable(source: string, what: 'PASSWORD' | 'MARIADB_URL' | 'REST_PASSWORD'): string {
  return `AFTERIMAGE_SOURCE_${source.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}_${what}`;
}

/** Turns what the schema found into problems with line numbers and hints. `input` is what was validated. */
export function describeIssues(
  issues: readonly Issue[],
  document: Document,
  lines: LineCounter,
  input: unknown,
): ConfigProblem[] {
  return issues
    .flatMap((issue) => describeIssue(issue, input))
    .map(({ path, text, atKey }) => ({
      line: findLine(document, lines, path, atKey),
      setting: formatSetting(path),
      text,
    }));
}

interface Finding {
  readonly path: Path;
  readonly text: string;
  /** Whether the key itself is wrong, so that its line matters rather than its value's. */
  readonly atKey: boolean;
}

function describeIssue(issue: Issue, input: unknown): Finding[] {
  const value = readPath(input, issue.path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...issue.path, key],
        text: describeUnknown(issue.path, key),
        atKey: true,
      }));
    case 'invalid_key':
      return [{ path: issue.path, text: `: ${issue.issues.map((inner) => inner.message).join('; ')}`, atKey: true }];
    case 'invalid_type':
      if (value === undefined) return [{ path: issue.path, text: describeMissing(issue.path), atKey: true }];
      return [
        {
          path: issue.path,
          text: `must be ${nameType(issue.expected)}, but is ${describeWrong(issue.expected, issue.path, value)}${quoteHint(issue.expected, value)}`,
          atKey: false,
        },
      ];
    case 'invalid_value':
      return [{ path: issue.path, text: describeChoice(issue.values.map(String), issue.path, value), atKey: false }];
    case 'too_small':
    case 'too_big':
      return [
        { path: issue.path, text: `${describeBound(issue)}, but is ${describeValue(issue.path, value)}`, atKey: false },
      ];
    default:
      return [{ path: issue.path, text: `: ${issue.message}`, atKey: false }];
  }
}

function describeUnknown(path: Path, key: string): string {
  const known = knownKeys(path);
  const nearest = findNearestName(key, known);
  if (nearest !== undefined) return `is not a setting; did you mean "${nearest}"?`;
  return `is not a setting${known.length === 0 ? '' : `; here are: ${known.join(', ')}`}`;
}

function describeMissing(path: Path): string {
  const [first, second, third, fourth] = path;
  if (first === 'postgres') return 'is missing: write it, or set AFTERIMAGE_POSTGRES_URL in the environment';
  if (first === 'sources' && third === 'password') {
    return `is missing: write it, or set ${sourceVariable(String(second), 'PASSWORD')} in the environment`;
  }
  if (first === 'sources' && third === 'mariadb' && fourth === 'url') {
    return `is missing: write it, or set ${sourceVariable(String(second), 'MARIADB_URL')} in the environment`;
  }
  return 'is missing';
}

function describeChoice(choices: readonly string[], path: Path, value: unknown): string {
  const nearest = typeof value === 'string' ? findNearestName(value, choices) : undefined;
  const hint = nearest === undefined ? '' : `; did you mean "${nearest}"?`;
  return `must be one of ${choices.join(', ')}, but is ${describeValue(path, value)}${hint}`;
}

function describeBound(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  const unit = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' entries' : '';
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}${unit}`;
  if (issue.origin === 'string' && issue.minimum === 1) return 'must not be empty';
  return `must be ${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unit}`;
}

const typeNames: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list: [a, b]',
  object: 'a group of settings',
  record: 'a group of settings',
};

function nameType(expected: string): string {
  return typeNames[expected] ?? expected;
}

function quoteHint(expected: string, value: unknown): string {
  const scalar = typeof value === 'number' || typeof value === 'boolean';
  return expected === 'string' && scalar ? ': put it in quotes' : '';
}

/** A text where a group should be is not shown: it may be the URL or the password that belongs into the group. */
function describeWrong(expected: string, path: Path, value: unknown): string {
  const isGroup = expected === 'object' || expected === 'record';
  return isGroup && typeof value === 'string' ? 'a text' : describeValue(path, value);
}

/** The value as it may be shown: never a password or a URL, which may hold one. */
function describeValue(path: Path, value: unknown): string {
  const last = path.at(-1);
  if (value === null) return 'empty';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') return 'a group of settings';
  const isSecret = /password|url/i.test(String(last)) || path.includes('cluster') || path.includes('sentinels');
  if (isSecret) return typeof value === 'string' ? 'another text' : `a ${typeof value}`;
  return typeof value === 'string' ? redactUrl(JSON.stringify(value)) : String(value as number | boolean);
}

/** Setting names that the schema knows at a path. */
function knownKeys(path: Path): string[] {
  return Object.keys(path.reduce(descendSettings, readSettingTree()).properties ?? {});
}

function readPath(input: unknown, path: Path): unknown {
  let value = input;
  for (const part of path)
    value = Object.hasOwn(Object(value) as object, part) ? (value as Parent)?.[part as never] : undefined;
  return value;
}

/** The line where a setting's name stands, or that of the nearest one around it. */
export function locateSetting(document: Document, lines: LineCounter, path: Path): number | undefined {
  return findLine(document, lines, path, true);
}

/** The line of a setting, or of the nearest one around it that the file holds. */
function findLine(document: Document, lines: LineCounter, path: Path, atKey: boolean): number | undefined {
  let step: Step = { node: document.contents, offset: undefined };
  for (const [depth, part] of path.entries()) {
    const next = stepInto(step.node, part, atKey || depth < path.length - 1);
    if (next === undefined) break;
    step = { node: next.node, offset: next.offset ?? step.offset };
  }
  return step.offset === undefined ? undefined : lines.linePos(step.offset).line;
}

interface Step {
  readonly node: unknown;
  readonly offset: number | undefined;
}

function stepInto(node: unknown, part: PropertyKey, preferKey: boolean): Step | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(part)];
    return { node: item, offset: startOf(item) };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
  if (pair === undefined) return undefined;
  return { node: pair.value, offset: startOf(preferKey || !isScalar(pair.value) ? pair.key : pair.value) };
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
