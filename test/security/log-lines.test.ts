import { createLogger, redactSecrets, toPrintable, toPrintableJson } from '@afterimage/service';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hostileTexts } from './hostile-names.js';
import { findForeignLines, findObeyed } from './security-rig.js';

const text = fc.oneof(fc.constantFrom(...hostileTexts), fc.string({ unit: 'binary' }));

/** What one log call writes. */
function writeLog(log: (logger: ReturnType<typeof createLogger>) => void, pretty = false): string {
  let output = '';
  const destination = { write: (line: string) => void (output += line) };
  log(createLogger({ name: 'reader', level: 'debug', pretty, destination }));
  return output;
}

describe('a log line', () => {
  it('of JSON stays one line that no terminal obeys, and says exactly what was logged', () => {
    fc.assert(
      fc.property(text, text, (message, value) => {
        const output = writeLog((logger) => logger.info({ table: value }, message.replaceAll('%', '')));
        expect(output.endsWith('\n')).toBe(true);
        expect(findObeyed(output)).toEqual([]);
        expect(findForeignLines(output)).toEqual([]);
        const { table } = JSON.parse(output) as { table: string };
        // Half a surrogate pair cannot be written as UTF-8.
        expect(Buffer.from(table)).toEqual(Buffer.from(value));
      }),
    );
  });

  it('for people is one line that no terminal obeys, and a stack goes on indented', () => {
    fc.assert(
      fc.property(text, text, (message, value) => {
        const plain = writeLog((logger) => logger.info({ table: value }, message), true);
        expect(plain.trimEnd().split('\n')).toHaveLength(1);
        expect(findObeyed(plain)).toEqual([]);
        const failed = writeLog((logger) => logger.error(new Error(`${value}\n${message}`)), true);
        expect(findObeyed(failed)).toEqual([]);
        const [, ...rest] = failed.trimEnd().split('\n');
        expect(rest.filter((line) => !line.startsWith('    '))).toEqual([]);
      }),
    );
  });

  it('never holds the password of a URL, whatever characters it has', () => {
    const password = fc.string({ unit: 'binary', minLength: 1 }).filter((part) => !/[\p{Surrogate}]/u.test(part));
    fc.assert(
      fc.property(password, fc.constantFrom('postgres', 'redis', 'rediss'), (part, scheme) => {
        const secret = encodeURIComponent(`hush${part}`);
        const url = `${scheme}://user:${secret}@db.example:1234/name`;
        const query = `${scheme}://db.example/name?user=u&password=${secret}&sslmode=require`;
        const output = writeLog((logger) =>
          logger.warn({ url, nested: [{ query }], err: new Error(url) }, `no ${query} or ${url}`),
        );
        expect(output).not.toContain('hush');
        expect(output).toContain('db.example');
        expect(output).toContain('sslmode=require');
      }),
    );
  });

  it('hides what stands under the name of a secret', () => {
    const config = { sources: { main: { password: 'hush', user: 'cdc' } }, headers: [{ Authorization: 'hush' }] };
    expect(JSON.stringify(redactSecrets(config))).not.toContain('hush');
  });
});

describe('a text for a terminal', () => {
  it('shows control characters, line ends and changes of direction as escapes, and leaves everything else alone', () => {
    expect(toPrintable('a\u001b[31m\n\u009b\u202e\u2028é😀שלום')).toBe(
      String.raw`a\u001b[31m\n\u009b\u202e\u2028é😀שלום`,
    );
    fc.assert(
      fc.property(text, (value) => {
        expect(findObeyed(toPrintable(value))).toEqual([]);
      }),
    );
  });

  it('of JSON means the same to every parser', () => {
    fc.assert(
      fc.property(fc.jsonValue(), text, (value, key) => {
        const json = JSON.stringify({ [key]: value, key });
        expect(JSON.parse(toPrintableJson(json))).toEqual(JSON.parse(json));
        expect(findObeyed(toPrintableJson(json))).toEqual([]);
      }),
    );
  });
});
