import type { SourceConfig } from '@afterimage/service';

export interface TableName {
  readonly database: string;
  readonly table: string;
}

export interface TableList {
  readonly tables: readonly TableName[];
  /** Patterns that stand for no table: probably a mistake in the configuration. */
  readonly emptyPatterns: readonly string[];
}

/** The tables that a source's configuration means: those it names, and what `database.*` stands for. Each once. */
export function listTables(source: Pick<SourceConfig, 'tables' | 'knownTables'>): TableList {
  const names = new Set<string>();
  const emptyPatterns: string[] = [];
  for (const entry of Object.keys(source.tables)) {
    const matches = entry.endsWith('.*')
      ? source.knownTables.filter((known) => known.startsWith(entry.slice(0, -1)))
      : [entry];
    if (matches.length === 0) emptyPatterns.push(entry);
    for (const match of matches) names.add(match);
  }
  const tables = [...names].map((name) => {
    const dot = name.indexOf('.');
    return { database: name.slice(0, dot), table: name.slice(dot + 1) };
  });
  return { tables, emptyPatterns };
}
