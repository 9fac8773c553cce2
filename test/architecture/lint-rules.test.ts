import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { copyRepository, type PlantedTree } from './planted-tree.js';

const lines = (count: number, line: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => line(index)).join('\n');

interface Violation {
  readonly title: string;
  readonly rule: string;
  readonly path: string;
  readonly content: string;
}

const folder = 'packages/service/src/planted';

const violations: readonly Violation[] = [
  {
    title: 'a file has at most 400 lines',
    rule: 'max-lines',
    path: `${folder}/long-file.ts`,
    content: lines(401, (index) => `export const value${index} = ${index};`),
  },
  {
    title: 'a function has at most 60 lines',
    rule: 'max-lines-per-function',
    path: `${folder}/long-function.ts`,
    content: `export function addUp(): number {\n  let sum = 0;\n${lines(60, (i) => `  sum += ${i};`)}\n  return sum;\n}\n`,
  },
  {
    title: 'a function has at most 4 parameters',
    rule: 'max-params',
    path: `${folder}/many-parameters.ts`,
    content: 'export const addAll = (a: number, b: number, c: number, d: number, e: number) => a + b + c + d + e;\n',
  },
  {
    title: 'a function has a complexity of at most 10',
    rule: 'complexity',
    path: `${folder}/complex-function.ts`,
    content: `export function find(n: number): number {\n${lines(11, (i) => `  if (n === ${i}) return ${i};`)}\n  return -1;\n}\n`,
  },
  {
    title: 'the type any is not written',
    rule: 'no-explicit-any',
    path: `${folder}/any-type.ts`,
    content: 'export const read = (value: any): string => String(value);\n',
  },
  {
    title: 'null is not asserted away',
    rule: 'no-non-null-assertion',
    path: `${folder}/non-null.ts`,
    content: 'export const first = (list: string[]): string => list[0]!;\n',
  },
  {
    title: 'a module exports by name',
    rule: 'no-default-export',
    path: `${folder}/default-export.ts`,
    content: 'export default 1;\n',
  },
  {
    title: 'a promise is awaited or handed on (needs types)',
    rule: 'no-floating-promises',
    path: `${folder}/floating-promise.ts`,
    content: 'const wait = async (): Promise<void> => {};\nexport function start(): void {\n  wait();\n}\n',
  },
  {
    title: 'a switch over a union names every member (needs types)',
    rule: 'switch-exhaustiveness-check',
    path: `${folder}/open-switch.ts`,
    content:
      "type Kind = 'row' | 'schema';\nexport function name(kind: Kind): string {\n  switch (kind) {\n    case 'row':\n      return 'a row';\n  }\n  return '';\n}\n",
  },
  {
    title: 'modules do not import each other in a circle',
    rule: 'no-cycle',
    path: `${folder}/circle-a.ts`,
    content: "import { b } from './circle-b.js';\nexport const a = (): number => b();\n",
  },
  {
    title: 'a service logs through its logger, not to the console',
    rule: 'no-console',
    path: `${folder}/console-output.ts`,
    content: "export const greet = (): void => console.log('hello');\n",
  },
  {
    title: 'an unused variable is an error',
    rule: 'no-unused-vars',
    path: `${folder}/unused-variable.ts`,
    content: 'const forgotten = 1;\nexport {};\n',
  },
  {
    title: 'cdc-protocol imports no package, not even zod',
    rule: 'no-restricted-imports',
    path: 'packages/cdc-protocol/src/planted-import.ts',
    content: "import { z } from 'zod';\nexport const text = z.string();\n",
  },
  {
    title: 'change-events imports no package but zod',
    rule: 'no-restricted-imports',
    path: 'packages/change-events/src/planted-import.ts',
    content: "import pino from 'pino';\nexport const log = pino();\n",
  },
];

const permitted: readonly { readonly path: string; readonly content: string }[] = [
  {
    path: `${folder}/circle-b.ts`,
    content: "import { a } from './circle-a.js';\nexport const b = (): number => a();\n",
  },
  { path: 'apps/cli/src/planted-console.ts', content: "export const greet = (): void => console.log('hello');\n" },
  {
    path: 'packages/change-events/src/planted-zod.ts',
    content:
      "import { createHash } from 'node:crypto';\nimport { z } from 'zod';\nexport const both = [createHash, z];\n",
  },
  {
    path: 'packages/cdc-protocol/src/planted-node.ts',
    content: "import { connect } from 'node:net';\nexport const open = connect;\n",
  },
];

interface Diagnostic {
  readonly code?: string;
  readonly filename: string;
}

describe('the linter', () => {
  let tree: PlantedTree;
  let diagnostics: readonly Diagnostic[];
  let exitCode: number;

  beforeAll(async () => {
    tree = await copyRepository();
    const planted = [...violations, ...permitted];
    for (const file of planted) await tree.plant(file.path, file.content);
    const run = await tree.run('oxlint', ['--format', 'json', ...planted.map((file) => file.path)]);
    exitCode = run.exitCode;
    diagnostics = (JSON.parse(run.output) as { diagnostics: Diagnostic[] }).diagnostics;
  });
  afterAll(() => tree.remove());

  const rulesBroken = (path: string): string[] =>
    diagnostics.filter((found) => found.filename === path).map((found) => found.code ?? '');

  it('fails when a rule is broken', () => {
    expect(exitCode).not.toBe(0);
  });

  it.each(violations)('says that $title', ({ path, rule }) => {
    expect(rulesBroken(path)).toContainEqual(expect.stringMatching(new RegExp(`\\(${rule}\\)$`)));
  });

  it('lets the command line write to the console', () => {
    expect(rulesBroken('apps/cli/src/planted-console.ts')).toEqual([]);
  });

  it('lets cdc-protocol import node modules and change-events import zod', () => {
    expect(rulesBroken('packages/cdc-protocol/src/planted-node.ts')).toEqual([]);
    expect(rulesBroken('packages/change-events/src/planted-zod.ts')).toEqual([]);
  });
});
