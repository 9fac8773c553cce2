import type { SourceValue } from './source-values.js';

/**
 * One text for a whole row, on either server: equal texts mean equal rows. A value that may be any text has its length in
 * bytes before it, the others hold neither `|` nor `~`, which stands for NULL.
 */
export function sourceRowForm(values: readonly SourceValue[]): string {
  const parts = values.map(({ sourceForm, isOpen }) =>
    isOpen ? `IFNULL(CONCAT(OCTET_LENGTH(${sourceForm}), ':', ${sourceForm}), '~')` : `IFNULL(${sourceForm}, '~')`,
  );
  return `CONCAT(${parts.join(`, '|', `)})`;
}

/** The same for PostgreSQL; `references` are the mirror's columns, in the order of `values`. */
export function mirrorRowForm(values: readonly SourceValue[], references: readonly string[]): string {
  const parts = values.map(({ mirrorForm, isOpen }, place) => {
    const text = mirrorForm(references[place] ?? '');
    return isOpen ? `coalesce(octet_length(${text}) || ':' || (${text}), '~')` : `coalesce(${text}, '~')`;
  });
  return parts.join(` || '|' || `);
}
