import { CdcError } from './errors.js';
import type { CdcMessage, Operation, Row, RowEvent } from './messages.js';
import { parseColumns } from './row-values.js';
import { isRowAt, parseRowPrefixAt, type ParsedRowPrefix } from './row-prefix.js';
import { parseSchemaLine } from './schema-line.js';
import { isCutNoFileText, readServerError } from './server-error.js';

const nul = 0x00;
const openingBrace = 0x7b;
const maxErrorCharacters = 64 * 1024;

/** Lines in, messages out; no I/O. Its only state is an error text that a newline has cut in two. */
export class MessageDecoder {
  #cutText: string | undefined;

  /**
   * Decodes lines that end with "\n" (the last one may end with the text) and appends their messages to `messages`. Throws CdcError
   * PROTOCOL_VIOLATION at a line of no known kind, after appending the messages before it.
   */
  decode(lines: string, messages: CdcMessage[]): void {
    for (let start = 0; start < lines.length;) {
      const found = lines.indexOf('\n', start);
      const end = found === -1 ? lines.length : found;
      // An unknown command's answer ends in "\n\0", so the next line begins with the NUL.
      while (lines.charCodeAt(start) === nul) start++;
      if (isRowAt(lines, start)) {
        this.#flushCutText(messages);
        messages.push(new DecodedRow(parseRowPrefixAt(lines, start), lines.slice(start, end)));
      } else if (end > start || this.#cutText !== undefined) {
        this.#decodeOther(lines.slice(start, end), messages);
      }
      start = end + 1;
    }
  }

  #decodeOther(line: string, messages: CdcMessage[]): void {
    const isSchema = line.charCodeAt(0) === openingBrace;
    const isError = line.startsWith('ERR');
    if (isSchema || isError) this.#flushCutText(messages);
    if (isSchema) {
      messages.push(parseSchemaLine(line));
      return;
    }
    const text = this.#cutText === undefined ? line : `${this.#cutText}\n${line}`;
    if (!isError && this.#cutText === undefined) throw unknownLine(line);
    if (isCutNoFileText(text) && text.length <= maxErrorCharacters) {
      this.#cutText = text;
    } else {
      this.#cutText = undefined;
      messages.push(readServerError(text));
    }
  }

  #flushCutText(messages: CdcMessage[]): void {
    if (this.#cutText === undefined) return;
    messages.push(readServerError(this.#cutText));
    this.#cutText = undefined;
  }
}

/** A class, unlike the other messages, so that a million rows share one `row` function. */
class DecodedRow implements RowEvent {
  readonly kind = 'row';
  readonly domain: number;
  readonly serverId: number;
  readonly sequence: number;
  readonly eventNumber: number;
  readonly timestamp: number;
  readonly operation: Operation;
  readonly raw: string;
  readonly #columnsAt: number;

  constructor(prefix: ParsedRowPrefix, raw: string) {
    this.domain = prefix.domain;
    this.serverId = prefix.serverId;
    this.sequence = prefix.sequence;
    this.eventNumber = prefix.eventNumber;
    this.timestamp = prefix.timestamp;
    this.operation = prefix.operation;
    this.raw = raw;
    this.#columnsAt = prefix.end;
  }

  row(): Row {
    return parseColumns(this.raw, this.#columnsAt);
  }
}

function unknownLine(line: string): CdcError {
  return new CdcError(
    'PROTOCOL_VIOLATION',
    `a line of ${line.length} characters is neither schema, row nor error: it begins ${JSON.stringify(line.slice(0, 24))}`,
  );
}
