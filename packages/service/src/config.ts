import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Document, LineCounter, parseDocument } from 'yaml';
import { type ConfigProblem, describeIssues, formatSetting, locateSetting, sourceVariable } from './config-problems.js';
import { type Config, configSchema } from './config-schema.js';
import { findQueueProblems } from './queue-settings.js';
import { findTableProblems } from './configured-tables.js';
import { toPrintable } from './printable.js';

export const defaultConfigPath = 'afterimage.yaml';

export type ConfigErrorCode =
  /** There is no file: `afterimage init` writes one. */
  | 'CONFIG_NOT_FOUND'
  /** The file is there and cannot be read: see its permissions. */
  | 'CONFIG_UNREADABLE'
  /** Not YAML, or settings that are wrong: every one is in `problems`. */
  | 'CONFIG_INVALID';

/** The configuration cannot be used; the message is complete and fit for a terminal. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code: ConfigErrorCode;
  readonly problems: readonly ConfigProblem[];

  constructor(code: ConfigErrorCode, message: string, problems: readonly ConfigProblem[] = []) {
    super(message);
    this.code = code;
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The configuration file to use when no `--config` was given: AFTERIMAGE_CONFIG, else ./afterimage.yaml. */
export function resolveConfigPath(option: string | undefined, env: Environment = process.env): string {
  return option ?? (env['AFTERIMAGE_CONFIG'] || defaultConfigPath);
}

/**
 * Reads and validates the configuration. These come from the environment when set there, before the file:
 * AFTERIMAGE_POSTGRES_URL, AFTERIMAGE_REDIS_URL, AFTERIMAGE_REDIS_PASSWORD, AFTERIMAGE_REDIS_SENTINEL_PASSWORD,
 * AFTERIMAGE_SOURCE_<NAME>_PASSWORD, AFTERIMAGE_SOURCE_<NAME>_MARIADB_URL, AFTERIMAGE_SOURCE_<NAME>_REST_PASSWORD.
 *
 * Throws ConfigError; every problem of the file is in its one message.
 */
export function loadConfig(path: string, env: Environment = process.env): Config {
  return parseConfig(readConfigFile(path), path, env);
}

/** `loadConfig` of a text; `path` is for messages. */
export function parseConfig(text: string, path: string, env: Environment): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  if (document.errors.length > 0) {
    const problems = document.errors.map((error) => ({
      line: lines.linePos(error.pos[0]).line,
      setting: '',
      text: `not valid YAML: ${withoutSource(error.message)}`,
    }));
    throw invalid(path, problems);
  }
  const input = applyEnvironment(dropEmpty(readSettings(document, path)), env);
  const result = configSchema.safeParse(input);
  const between = [
    ...findQueueProblems(input['queue']),
    ...findUnusableKeys(input),
    ...(result.success ? findTableProblems(result.data) : []),
  ];
  const found = result.success ? [] : describeIssues(result.error.issues, document, lines, input);
  const known = new Set(found.map(({ setting }) => setting));
  const more = between.map((problem) => ({
    line: locateSetting(document, lines, problem.path),
    setting: formatSetting(problem.path),
    text: problem.text,
  }));
  const problems = [...found, ...more.filter(({ setting }) => !known.has(setting))];
  if (problems.length > 0 || !result.success) throw invalid(path, nameVariables(problems, env));
  return result.data;
}

/** The configuration of one of several writers on a machine, each of which needs a port of its own. */
export function withPortOffset(config: Config, offset: number): Config {
  const { service } = config;
  const { writerPort } = service;
  if (writerPort === undefined || writerPort === 0) return config;
  return { ...config, service: { ...service, writerPort: writerPort + offset } };
}

function readConfigFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new ConfigError(
        'CONFIG_NOT_FOUND',
        `no configuration file ${resolve(path)}: write one with \`afterimage init\`, or name yours with --config or AFTERIMAGE_CONFIG`,
      );
    }
    throw new ConfigError('CONFIG_UNREADABLE', `cannot read the configuration file ${resolve(path)}: ${message}`);
  }
}

type Group = Record<string, unknown>;

function isGroup(value: unknown): value is Group {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readSettings(document: Document, path: string): Group {
  const settings = resolveAliases(document, path);
  if (isGroup(settings)) return settings;
  const text =
    settings === null
      ? 'the file holds no setting; `afterimage init` writes a commented one'
      : 'the file must hold settings, one `name: value` per line';
  throw invalid(path, [{ line: 1, setting: '', text }]);
}

/** An alias without its anchor, as of a password that begins with `*`, or aliases that multiply without end. */
function resolveAliases(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch {
    const text = 'an alias (*name) that stands for nothing, or for too much: put a text that begins with * in quotes';
    throw invalid(path, [{ line: undefined, setting: '', text }]);
  }
}

/** Some of the parser's messages end with a piece of the file, which may be one of a password. */
function withoutSource(message: string): string {
  return message.replace(/(in YAML stream|extra characters): [^]*$/, '$1').replace(/(escape sequence) [^]*$/, '$1');
}

/**
 * What YAML reads as nothing although it means something: a section whose settings are all comments, and the
 * word null as a choice of `writer.zeroDates`.
 */
function dropEmpty(settings: Group): Group {
  const filled = Object.fromEntries(Object.entries(settings).filter(([, section]) => section !== null));
  const { writer } = filled;
  if (isGroup(writer) && writer['zeroDates'] === null) filled['writer'] = { ...writer, zeroDates: 'null' };
  return filled;
}

/** A copy of the settings in which the environment's values stand over the file's. */
function applyEnvironment(settings: Group, env: Environment): Group {
  const merged: Group = { ...settings };
  const put = (section: string, key: string, value: string | undefined) => {
    if (value === undefined || value === '') return;
    const group = merged[section] ?? {};
    if (isGroup(group)) merged[section] = { ...group, [key]: value };
  };
  put('postgres', 'url', env['AFTERIMAGE_POSTGRES_URL']);
  const queue = withRedisEnvironment(merged['queue'] ?? {}, env);
  if (queue !== undefined) merged['queue'] = queue;
  const { sources } = merged;
  if (isGroup(sources)) {
    merged['sources'] = Object.fromEntries(
      Object.entries(sources).map(([name, source]) => [
        name,
        isGroup(source) ? withSourceEnvironment(name, source, env) : source,
      ]),
    );
  }
  return merged;
}

function withSourceEnvironment(name: string, source: Group, env: Environment): Group {
  const password = env[sourceVariable(name, 'PASSWORD')];
  const url = env[sourceVariable(name, 'MARIADB_URL')] ?? '';
  const mariadb = source['mariadb'] ?? {};
  const { rest } = source;
  const restPassword = env[sourceVariable(name, 'REST_PASSWORD')] ?? '';
  return {
    ...source,
    ...(password === undefined ? {} : { password }),
    ...(url === '' || !isGroup(mariadb) ? {} : { mariadb: { ...mariadb, url } }),
    ...(restPassword === '' || !isGroup(rest) ? {} : { rest: { ...rest, password: restPassword } }),
  };
}

/** Undefined when nothing of the environment is for this queue. */
function withRedisEnvironment(queue: unknown, env: Environment): Group | undefined {
  if (!isGroup(queue) || queue['backend'] === 'postgres') return undefined;
  const own = {
    password: env['AFTERIMAGE_REDIS_PASSWORD'],
    sentinelPassword: env['AFTERIMAGE_REDIS_SENTINEL_PASSWORD'],
  };
  const secrets = Object.entries(own).filter(([, value]) => value !== undefined && value !== '');
  const url = env['AFTERIMAGE_REDIS_URL'] ?? '';
  const redis = queue['redis'] ?? {};
  return {
    ...queue,
    ...(url === '' ? {} : { url }),
    ...(secrets.length === 0 || !isGroup(redis) ? {} : { redis: { ...redis, ...Object.fromEntries(secrets) } }),
  };
}

/** A value that came from the environment has no line in the file. */
function nameVariables(problems: readonly ConfigProblem[], env: Environment): ConfigProblem[] {
  const variables: Readonly<Record<string, string>> = {
    'postgres.url': 'AFTERIMAGE_POSTGRES_URL',
    'queue.url': 'AFTERIMAGE_REDIS_URL',
  };
  return problems.map((problem) => {
    const variable = variables[problem.setting];
    const isSet = variable !== undefined && (env[variable] ?? '') !== '';
    return isSet
      ? { ...problem, line: undefined, text: `(from ${variable} in the environment)${problem.text}` }
      : problem;
  });
}

interface SettingProblem {
  readonly path: readonly string[];
  readonly text: string;
}

/** JavaScript's objects take this name for something else, and zod leaves it out without a word. */
function findUnusableKeys(settings: unknown, path: readonly string[] = []): SettingProblem[] {
  if (typeof settings !== 'object' || settings === null) return [];
  return Object.entries(settings).flatMap(([key, value]) =>
    key === '__proto__'
      ? [{ path: [...path, key], text: 'cannot be configured: nothing of this name can' }]
      : findUnusableKeys(value, [...path, key]),
  );
}

function invalid(path: string, problems: readonly ConfigProblem[]): ConfigError {
  const ordered = [...problems].sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity));
  const listed = ordered.map(({ line, setting, text }) => {
    const place = line === undefined ? path : `${path}:${line}`;
    const separator = setting === '' || text.startsWith(':') ? '' : ' ';
    return `  ${place}  ${setting}${separator}${toPrintable(text)}`;
  });
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  return new ConfigError('CONFIG_INVALID', [`${count} in the configuration:`, ...listed].join('\n'), ordered);
}
