export { endWithThisProcess, type WatchOptions } from './child-server.js';
export { findFreePort } from './free-port.js';
export { hasMariadb, type LocalMariadb, type MariadbOptions, startMariadb } from './mariadb.js';
export { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres.js';
export { type LocalRedis, type RedisServer, type RedisServerOptions, startRedis, startRedisServer } from './redis.js';
