#!/usr/bin/env node
import { parseArgs } from 'node:util';
import {
  createLogger,
  exitCodeOf,
  loadConfig,
  redactUrl,
  resolveConfigPath,
  runService,
  withPortOffset,
} from '@afterimage/service';
import { parsePartitionRanges } from './partition-ranges.js';
import { runWriter } from './writer.js';

/**
 * `--partitions 0-3`: only these partitions of every stream. `--port-offset n`: of several writers on one machine, the one that serves on
 * `service.writerPort` + n.
 */
function readArguments() {
  const { values } = parseArgs({
    options: {
      config: { type: 'string' },
      pretty: { type: 'boolean', default: false },
      partitions: { type: 'string' },
      'port-offset': { type: 'string', default: '0' },
    },
  });
  return {
    path: values.config,
    pretty: values.pretty,
    isMine: values.partitions === undefined ? () => true : parsePartitionRanges(values.partitions),
    portOffset: Number.parseInt(values['port-offset'], 10),
  };
}

try {
  const { path, pretty, isMine, portOffset } = readArguments();
  const config = withPortOffset(loadConfig(resolveConfigPath(path)), portOffset);
  const logger = createLogger({ name: 'writer', level: config.service.logLevel, pretty });
  await runService({
    name: 'writer',
    logger,
    main: (signal, scope) => runWriter(config, logger, { signal, scope, isMine }),
  });
} catch (error) {
  process.stderr.write(`${redactUrl(error instanceof Error ? error.message : String(error))}\n`);
  process.exit(exitCodeOf(error));
}
