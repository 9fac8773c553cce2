#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { createLogger, exitCodeOf, loadConfig, redactUrl, resolveConfigPath, runService } from '@afterimage/service';
import { runWatcher } from './watcher.js';

function readArguments() {
  const { values } = parseArgs({
    options: { config: { type: 'string' }, pretty: { type: 'boolean', default: false } },
  });
  return { path: values.config, pretty: values.pretty };
}

try {
  const { path, pretty } = readArguments();
  const config = loadConfig(resolveConfigPath(path));
  const logger = createLogger({ name: 'watcher', level: config.service.logLevel, pretty });
  await runService({
    name: 'watcher',
    logger,
    main: (signal, scope) => runWatcher(config, logger, { signal, scope }),
  });
} catch (error) {
  process.stderr.write(`${redactUrl(error instanceof Error ? error.message : String(error))}\n`);
  process.exit(exitCodeOf(error));
}
