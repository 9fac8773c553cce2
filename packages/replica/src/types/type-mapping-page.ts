import type { TypeNote } from './column-mapping.js';
import { typeFamilies } from './families.js';

const INTRODUCTION = `# How MariaDB types become PostgreSQL types

<!-- Made from packages/replica/src/types. To update: UPDATE_DOCS=1 npx vitest run packages/replica/test/types -->

MaxScale's change-data-capture stream tells little about a column: its name, the type word as it was written in the DDL,
and whether it is unsigned. It tells no precision, length, labels, character set or key. Some values it bends, some it
loses. This page says for each type what arrives (from MaxScale 24.02), what becomes of it, what is lost, and what to
configure so that less is lost.

- **Configure** a column under its table in \`afterimage.yaml\`; a \`type\` is written as SHOW CREATE TABLE shows it:

  \`\`\`yaml
  tables:
    shop.orders:
      columns:
        total: { type: 'decimal(12,2)' }
        state: { type: "enum('new','paid','sent')" }
        placed: { type: datetime(3) }
        token: { type: binary(16), postgres: uuid }
        remark: { charset: latin1 }
  \`\`\`

- **What the stream says wins.** A configured type that does not fit the type word that arrives, as after an ALTER TABLE, is
  ignored, and the mapping is that of the stream's type word alone.
- **\`postgres\`** casts the value to a type of your choice: directly where PostgreSQL has a cast between numbers or between dates,
  a number to boolean as "not 0", bytes to \`uuid\` as their hex, bytes to \`text\` as UTF-8, everything else by way of text. A value that
  cannot be cast is a dead letter.
- **Counted** means: the stream lost or may have bent the value, the mapping can see that, and \`afterimage status\` shows how
  often per column. What is lost without a trace is called "not to be seen".
- NULL is NULL for every type. Time zones: \`timestamptz\` is a moment, shown in the zone of the session that reads it.
`;

const OUTRO = `
## Values that have two readings

Where the stream gives the same text for two values, one reading is taken:

| arrives | may be | taken as |
|---|---|---|
| a blob of lower-case hex digits whose bytes are not valid UTF-8: \`ff\` | the byte ff; the text "ff" (bytes 66 66) | the byte; in a BINARY(n), n ≥ 16, that the digits fill, the text |
| a blob or text of a single NUL | an empty value; one 00 byte | empty |
| text of a latin1 column in hex: \`68e96c6c6f\` | "héllo"; "68e96c6c6f" | "héllo", if it is printable and has digits and letters, as configured |
| a TIME between 185 and 838 hours: \`185:04:05\` | 185:04:05; -838:59:59 | the positive one, counted |
| a fraction of six digits that ends in 00, decimals unknown: \`.010000\` | .01; .001 of a column with three decimals | .01, counted |
| a decimal of unknown type: \`13.8\` | 13.8; 1.5 of a decimal(20,10) | 13.8 |
`;

/** The text of docs/type-mapping.md, from the same table that maps the columns. */
export function renderTypeMapping(): string {
  const notes = typeFamilies.flatMap((family) => family.notes);
  const head = ['MariaDB', 'PostgreSQL', 'what arrives', 'what is done', 'what is lost', 'how to configure'];
  const rows = [head, head.map(() => '---'), ...notes.map(cellsOf)];
  const table = rows.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`);
  return `${INTRODUCTION}\n## The types\n\n${table.join('\n')}\n${OUTRO}`;
}

function cellsOf(note: TypeNote): string[] {
  return [note.mariadb, note.postgres, note.arrives, note.done, note.lost, note.configure];
}
