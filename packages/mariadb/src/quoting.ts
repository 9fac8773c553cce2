/** The one place where names enter MariaDB's SQL. */
export function quoteSource(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
