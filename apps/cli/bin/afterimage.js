#!/usr/bin/env node
// npm links a command only if its file is there when it installs, which is before the build: so this one is not built.
import { existsSync } from 'node:fs';

const program = new URL('../dist/main.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  console.error('afterimage: not built yet: run `npm run build` in the checkout');
  process.exitCode = 1;
}
