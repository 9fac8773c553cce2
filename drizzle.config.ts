import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'postgresql',
  schema: './packages/replica/src/control/tables.ts',
  out: './migrations',
  schemaFilter: ['afterimage'],
});
