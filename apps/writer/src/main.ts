#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { createLogger, exitCodeOf, loadConfig, redactUrl, resolveConfigPath, runService } from '@afterimage/service';
import { runWriter } from './writer.js';

const { values } = parseArgs({ options: { config: { type: 'string' }, pretty: { type: 'boolean', default: false } } });

try {
  const config = loadConfig(resolveConfigPath(values.config));
  const logger = createLogger({ name: 'writer', level: config.service.logLevel, pretty: values.pretty });
  await runService({ name: 'writer', logger, main: (signal, scope) => runWriter(config, logger, { signal, scope }) });
} catch (error) {
  process.stderr.write(`${redactUrl(error instanceof Error ? error.message : String(error))}\n`);
  process.exit(exitCodeOf(error));
}
