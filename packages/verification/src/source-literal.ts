import type { ComparedColumn } from './compared-table.js';

/**
 * A value as MariaDB's SQL has it, from the text that PostgreSQL has for it. Text goes in as hex, so that nothing in it
 * means anything to a parser; numbers only when they are some.
 */
export function sourceLiteral({ knowledge }: ComparedColumn, text: string): string {
  switch (knowledge.type.kind) {
    case 'integer':
    case 'year':
    case 'decimal':
      return numberLiteral(text);
    case 'float':
      return `${numberLiteral(text)}${text.includes('e') ? '' : 'e0'}`;
    case 'bit':
      return /^[01]+$/.test(text) ? `b'${text}'` : textLiteral(text);
    case 'binary':
      return bytesLiteral(text);
    case 'timestamp':
      return textLiteral(text.replace(/\+00$/, ''));
    default:
      return textLiteral(text);
  }
}

function numberLiteral(text: string): string {
  if (/^t(?:rue)?$/.test(text)) return '1';
  if (/^-?\d+(?:\.\d+)?(?:e[-+]?\d+)?$/.test(text)) return text;
  return textLiteral(text);
}

/** `\x00ff`, or a uuid. */
function bytesLiteral(text: string): string {
  const hex = text.replace(/^\\x/, '').replaceAll('-', '');
  return /^(?:[0-9a-f]{2})*$/i.test(hex) ? `X'${hex}'` : textLiteral(text);
}

function textLiteral(text: string): string {
  return `_utf8mb4 X'${Buffer.from(text, 'utf8').toString('hex')}'`;
}
