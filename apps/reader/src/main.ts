import { parseArgs } from 'node:util';
import {
  ConfigError,
  createLogger,
  createRegistry,
  exitCodes,
  loadConfig,
  resolveConfigPath,
  runService,
  startHttp,
} from '@afterimage/service';
import { runReader } from './reader.js';
import type { ReaderRole } from './source-reader.js';

const usage = `Usage: reader [--config afterimage.yaml] [--source name …] [--pretty]

Reads change streams from MaxScale into the queue. --source (may be repeated) reads only that source; --pretty logs
for people instead of JSON.
`;

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(exitCodes.usage);
}

interface Arguments {
  readonly config: string | undefined;
  readonly source: string[] | undefined;
  readonly pretty: boolean;
}

function readArguments(): Arguments {
  try {
    const { values } = parseArgs({
      options: {
        config: { type: 'string' },
        source: { type: 'string', multiple: true },
        pretty: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) {
      process.stdout.write(usage);
      process.exit(exitCodes.ok);
    }
    return { config: values.config, source: values.source, pretty: values.pretty };
  } catch (error) {
    return fail(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}

function readConfig(path: string | undefined): ReturnType<typeof loadConfig> {
  try {
    return loadConfig(resolveConfigPath(path));
  } catch (error) {
    if (error instanceof ConfigError) return fail(error.message);
    throw error;
  }
}

const { config: path, source, pretty } = readArguments();
const config = readConfig(path);
const sources = source ?? Object.keys(config.sources);
const unknown = sources.filter((name) => !Object.hasOwn(config.sources, name));
if (unknown.length > 0)
  fail(`no such source in the configuration: ${unknown.map((name) => JSON.stringify(name)).join(', ')}`);

const logger = createLogger({ name: 'reader', level: config.service.logLevel, pretty });

await runService({
  name: 'reader',
  logger,
  main: async (signal, scope) => {
    const registry = createRegistry('reader');
    const roles = new Map<string, ReaderRole>(sources.map((name) => [name, 'starting']));
    const { httpHost, readerPort } = config.service;
    if (readerPort !== undefined) {
      const endpoint = await startHttp({
        host: httpHost,
        port: readerPort,
        healthy: () => !signal.aborted,
        ready: () => [...roles.values()].every((role) => role !== 'starting'),
        registry,
      });
      scope.onClose('http endpoint', () => endpoint.close());
      logger.info({ url: endpoint.url }, 'serving health and metrics');
    }
    await runReader({ config, sources, logger, registry, signal, onRole: (name, role) => roles.set(name, role) });
  },
});
