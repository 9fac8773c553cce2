import { migrate } from '@afterimage/replica';
import { Command } from 'commander';
import { explainPostgres } from '../failures.js';
import { type CommonOptions, readConfig, withCommonOptions } from '../options.js';
import { migrateQueue } from '../queues.js';

/** `afterimage migrate` */
export function createMigrateCommand(): Command {
  const command = new Command('migrate').description(
    'create or update the control tables in PostgreSQL; safe to repeat',
  );
  return withCommonOptions(command, { example: 'afterimage migrate --config afterimage.yaml' }).action(
    async (options: CommonOptions) => {
      const config = readConfig(options);
      try {
        await migrate(config.postgres.url);
        console.log('control tables: up to date (schema afterimage)');
        if (config.queue.backend !== 'postgres') return;
        await migrateQueue(config);
        console.log('queue tables: up to date');
      } catch (error) {
        throw explainPostgres(error, config.postgres.url);
      }
    },
  );
}
