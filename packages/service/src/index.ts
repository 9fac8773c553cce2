export { type Backoff, type BackoffOptions, createBackoff, sleep } from './backoff.js';
export {
  ConfigError,
  type ConfigErrorCode,
  defaultConfigPath,
  loadConfig,
  parseConfig,
  resolveConfigPath,
  withPortOffset,
} from './config.js';
export { type ConfigProblem, sourceVariable } from './config-problems.js';
export { renderConfigReference } from './config-reference.js';
export * from './config-schema.js';
export { renderConfigTemplate } from './config-template.js';
export { type ConfiguredTable, resolveAllTables, resolveTables } from './configured-tables.js';
export { heapArguments } from './heap-limit.js';
export { type HttpEndpoint, type HttpOptions, startHttp } from './http.js';
export { exitCodeOf, exitCodes, runService, type ServiceOptions, type ServiceScope } from './lifecycle.js';
export { createLogger, type Logger, type LoggerOptions, type LogLevel } from './logger.js';
export { Counter, createRegistry, Gauge, Histogram, type Registry } from './metrics.js';
export { describeQueueStore, resolveQueueStore, type QueueStore } from './queue-settings.js';
export { createQuietLog, type QuietLogOptions } from './quiet-log.js';
export { toPrintable, toPrintableJson } from './printable.js';
export { redactSecrets, redactUrl } from './redact.js';
export { readTlsFiles, resolveMariadb, type TlsFiles } from './tls-files.js';
