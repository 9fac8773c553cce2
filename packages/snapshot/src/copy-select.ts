import { type ColumnKnowledge, quoteSource, sourceValue, type SourceValueSettings } from '@afterimage/mariadb';

/** A column to copy: as MariaDB has it (null: it has none), and the type it has in the mirror. */
export interface CopiedColumn {
  readonly source: ColumnKnowledge | null;
  readonly postgresType: string;
}

/**
 * What stands in one column of the result. Nearly all of a line of COPY's text format is made by MariaDB, in one text of
 * many columns: a row is then one string here, which costs a third of what its columns would. Long texts and blobs come by
 * themselves, since no text of MariaDB may be longer than `max_allowed_packet`; each has a flag before it that tells NULL.
 */
type Piece = 'line' | 'text' | 'blob';

export interface CopySelect {
  /** The list after SELECT. */
  readonly list: string;
  readonly pieces: readonly Piece[];
}

const longTexts = new Set(['mediumtext', 'longtext']);
const longBlobs = new Set(['mediumblob', 'longblob']);
/** Of these, no value has a character that COPY's text format escapes. */
const plainKinds = new Set([
  'integer',
  'decimal',
  'float',
  'bit',
  'date',
  'datetime',
  'timestamp',
  'time',
  'year',
  'uuid',
  'inet4',
  'inet6',
]);

/** The SELECT list whose rows `CopyLines` puts together. PostgreSQL manual, COPY, "Text Format". */
export function selectLines(columns: readonly CopiedColumn[], settings: SourceValueSettings): CopySelect {
  const list: string[] = [];
  const pieces: Piece[] = [];
  let line: string[] = [];
  const endLine = (): void => {
    if (line.length === 0) return;
    list.push(line.length === 1 ? (line[0] ?? '') : `CONCAT(${line.join(String.raw`, '\t', `)})`);
    pieces.push('line');
    line = [];
  };
  for (const { source, postgresType } of columns) {
    if (source === null) {
      line.push(String.raw`'\\N'`);
      continue;
    }
    const { read } = sourceValue(source, postgresType, settings);
    const { type } = source;
    const name = quoteSource(source.name);
    if (type.kind === 'binary' && longBlobs.has(type.name) && postgresType === 'bytea') {
      endLine();
      list.push(`${name} IS NULL`, name);
      pieces.push('blob');
    } else if (
      (type.kind === 'text' && longTexts.has(type.name)) ||
      (type.kind === 'binary' && longBlobs.has(type.name))
    ) {
      endLine();
      list.push(`${name} IS NULL`, read);
      pieces.push('text');
    } else line.push(inLine(source, postgresType, read));
  }
  endLine();
  return { list: list.join(', '), pieces };
}

/** Only what is NULL may become COPY's NULL: a text that is too long is NULL, too, and must make the whole line so. */
function inLine({ name, type }: ColumnKnowledge, postgresType: string, read: string): string {
  if (plainKinds.has(type.kind)) return String.raw`IFNULL(${read}, '\\N')`;
  const isHex = type.kind === 'binary' && postgresType === 'bytea';
  const text = isHex ? String.raw`CONCAT('\\', ${read})` : escapeText(read);
  return String.raw`IF(${quoteSource(name)} IS NULL, '\\N', ${text})`;
}

function escapeText(text: string): string {
  const backslash = String.raw`REPLACE(${text}, '\\', '\\\\')`;
  return String.raw`REPLACE(REPLACE(REPLACE(${backslash}, '\t', '\\t'), '\n', '\\n'), '\r', '\\r')`;
}

const escaped: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

/** A row of the SELECT as a line of COPY's text format, without its end. Throws RangeError when a text was cut off. */
export function formatLine(pieces: readonly Piece[], row: readonly unknown[]): string {
  const [first] = row;
  if (pieces.length === 1 && pieces[0] === 'line' && typeof first === 'string') return first;
  let at = 0;
  const parts = pieces.map((piece) => {
    if (piece === 'line') return requireText(row[at++]);
    const isNull = Number(row[at]) === 1;
    const value = row[at + 1];
    at += 2;
    if (isNull) return '\\N';
    if (piece === 'blob' && Buffer.isBuffer(value)) return `\\\\x${value.toString('hex')}`;
    return requireText(value).replaceAll(/[\\\t\n\r]/g, (character) => escaped[character] ?? character);
  });
  return parts.join('\t');
}

function requireText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  throw new RangeError('MariaDB gave no text for a row');
}
