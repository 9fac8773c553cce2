import type { ServerError, ServerErrorCode } from './messages.js';

/** The beginnings of MaxScale's error texts. This is the one place that looks at them. */
const texts: readonly { begins: string; code: ServerErrorCode; fatal: boolean }[] = [
  { begins: 'ERR NO-FILE', code: 'NO_SUCH_FILE', fatal: false },
  { begins: 'ERR: Unknown command', code: 'UNKNOWN_COMMAND', fatal: false },
  { begins: 'ERR fatal error', code: 'FATAL', fatal: true },
  { begins: 'ERR REQUEST-DATA with no data', code: 'REQUEST_WITHOUT_NAME', fatal: false },
  { begins: 'ERR, code 12', code: 'REGISTRATION_FAILED', fatal: true },
  { begins: 'ERROR: Authentication failed', code: 'AUTH_FAILED', fatal: true },
];

/** Classifies an error line. */
export function readServerError(text: string): ServerError {
  const known = texts.find(({ begins }) => text.startsWith(begins));
  return { kind: 'error', code: known?.code ?? 'OTHER', fatal: known?.fatal ?? false, text };
}

/**
 * Whether the text is `ERR NO-FILE File '<name>.avro' not found.` cut by a newline inside the name: MaxScale
 * repeats the name as requested, and a client may have sent one with a newline.
 */
export function isCutNoFileText(text: string): boolean {
  return text.startsWith("ERR NO-FILE File '") && !text.endsWith("' not found.");
}
