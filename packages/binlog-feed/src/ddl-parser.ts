import type { Column } from '@afterimage/cdc-protocol/testing';
import { tokenize, type Token } from './sql-tokens.js';

export interface TableName {
  readonly database: string;
  readonly table: string;
}

export interface ColumnPlace {
  readonly first: boolean;
  /** Name of the column before it; empty: none was named. */
  readonly after: string;
}

/** What a statement does, step by step. A statement that is not understood ends after the steps before that place. */
export type DdlStep =
  | { readonly kind: 'create'; readonly name: TableName; readonly columns: readonly Column[] }
  | { readonly kind: 'create-like'; readonly name: TableName; readonly source: TableName }
  | { readonly kind: 'drop'; readonly name: TableName }
  | { readonly kind: 'rename'; readonly from: TableName; readonly to: TableName }
  | { readonly kind: 'alter-begin'; readonly name: TableName }
  | { readonly kind: 'add-column'; readonly column: Column; readonly place: ColumnPlace }
  | { readonly kind: 'drop-column'; readonly column: string }
  | { readonly kind: 'change-column'; readonly old: string; readonly column: Column; readonly place: ColumnPlace }
  | { readonly kind: 'alter-end'; readonly changesColumns: boolean };

class NotUnderstood extends Error {}

/**
 * Reads a statement as avrorouter 24.02 does, its mistakes included: it looks for a few words, takes the first name
 * after a comma for the next column, and stops where something else stands than it expects (`ALTER TABLE IF EXISTS`,
 * `RENAME COLUMN`, more after `ADD COLUMN (…)`). `database` is the session's default.
 */
export function* parseDdl(sql: string, database: string): Generator<DdlStep, undefined> {
  const parser = new Parser(tokenize(sql), database);
  try {
    yield* parser.statement();
  } catch (error) {
    if (!(error instanceof NotUnderstood)) throw error;
  }
  return undefined;
}

interface ColumnDefinition extends ColumnPlace {
  readonly column: Column;
}

const columnWords = ['COLUMN', 'IF', 'NOT', 'EXISTS'];

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  /** Of the last identifier: an unqualified one belongs to the database of the one before. */
  #database: string;

  constructor(tokens: readonly Token[], database: string) {
    this.#tokens = tokens;
    this.#database = database;
  }

  *statement(): Generator<DdlStep> {
    switch (this.#take().type) {
      case 'REPLACE':
      case 'CREATE':
        this.#skip('OR', 'REPLACE');
        this.#expect('TABLE');
        this.#skip('IF', 'NOT', 'EXISTS');
        yield this.#createTable();
        return;
      case 'ALTER':
        this.#skip('ONLINE', 'IGNORE');
        this.#expect('TABLE');
        yield* this.#alterTable();
        return;
      case 'DROP':
        this.#expect('TABLE');
        this.#skip('IF', 'EXISTS');
        yield { kind: 'drop', name: this.#tableName() };
        return;
      case 'RENAME':
        this.#expect('TABLE');
        yield* this.#renameTables();
    }
  }

  #createTable(): DdlStep {
    const name = this.#tableName();
    if (this.#nextTypes('LIKE') || this.#nextTypes('(', 'LIKE')) {
      this.#skip('(', 'LIKE');
      return { kind: 'create-like', name, source: this.#tableName() };
    }
    this.#expect('(');
    const columns: Column[] = [];
    do columns.push(this.#columnDefinition().column);
    while (this.#next.type === 'name');
    return { kind: 'create', name, columns };
  }

  *#renameTables(): Generator<DdlStep> {
    do {
      const from = this.#tableName();
      this.#expect('TO');
      yield { kind: 'rename', from, to: this.#tableName() };
      this.#skip(',');
    } while (!this.#atEnd);
  }

  *#alterTable(): Generator<DdlStep> {
    const name = this.#tableName();
    yield { kind: 'alter-begin', name };
    let changesColumns = false;
    while (!this.#atEnd) {
      for (const step of this.#alteration(name)) {
        changesColumns ||= step.kind !== 'rename';
        yield step;
      }
    }
    yield { kind: 'alter-end', changesColumns };
  }

  *#alteration(name: TableName): Generator<DdlStep> {
    switch (this.#take().type) {
      case 'ADD':
        this.#skip(...columnWords);
        if (this.#next.type === 'name') yield this.#addColumn();
        else if (this.#next.type === '(') yield* this.#addColumns();
        return;
      case 'DROP':
        this.#skip('COLUMN', 'IF', 'EXISTS');
        if (this.#next.type === 'name') yield { kind: 'drop-column', column: this.#take().value };
        return;
      case 'MODIFY':
        this.#skip('COLUMN', 'IF', 'EXISTS');
        if (this.#next.type === 'name') yield this.#changeColumn(this.#next.value);
        return;
      case 'CHANGE':
        this.#skip('COLUMN', 'IF', 'EXISTS');
        if (this.#next.type === 'name') yield this.#changeColumn(this.#take().value);
        return;
      case 'RENAME':
        this.#skip('TO');
        yield { kind: 'rename', from: name, to: { ...this.#tableName(), database: name.database } };
    }
  }

  #addColumn(): DdlStep {
    const { column, ...place } = this.#columnDefinition();
    return { kind: 'add-column', column, place };
  }

  /** `ADD COLUMN (a int, b int)`: everything up to the statement's end is taken for columns. */
  *#addColumns(): Generator<DdlStep> {
    this.#take();
    while (!this.#atEnd) {
      const { column } = this.#columnDefinition();
      yield { kind: 'add-column', column, place: { first: false, after: '' } };
    }
  }

  #changeColumn(old: string): DdlStep {
    const { column, ...place } = this.#columnDefinition();
    return { kind: 'change-column', old, column, place };
  }

  /** A name, a type word, then anything up to a comma outside of parentheses. */
  #columnDefinition(): ColumnDefinition {
    const name = this.#expect('name').value;
    const realType = this.#take().value;
    const found = { unsigned: false, first: false, after: '' };
    while (!this.#atEnd) {
      this.#skipParentheses();
      const { type } = this.#take();
      if (type === ',') break;
      if (type === 'UNSIGNED') found.unsigned = true;
      else if (type === 'FIRST') found.first = true;
      else if (type === 'AFTER') found.after = this.#expect('name').value;
    }
    const { first, after, unsigned } = found;
    return { column: { name, realType, unsigned }, first, after };
  }

  #skipParentheses(): void {
    if (this.#next.type !== '(') return;
    let depth = 0;
    do {
      const { type } = this.#take();
      if (type === '(') depth++;
      else if (type === ')') depth--;
    } while (depth > 0 && !this.#atEnd);
    if (depth > 0) throw new NotUnderstood();
  }

  #tableName(): TableName {
    if (this.#nextTypes('name', '.', 'name')) {
      this.#database = this.#take().value;
      this.#take();
    }
    return { table: this.#expect('name').value, database: this.#database };
  }

  get #next(): Token {
    return this.#tokens[this.#at] ?? endToken;
  }

  get #atEnd(): boolean {
    return this.#at >= this.#tokens.length;
  }

  #take(): Token {
    const token = this.#next;
    this.#at++;
    return token;
  }

  #expect(type: string): Token {
    if (this.#next.type !== type) throw new NotUnderstood();
    return this.#take();
  }

  #skip(...types: readonly string[]): void {
    while (types.includes(this.#next.type)) this.#take();
  }

  #nextTypes(...types: readonly string[]): boolean {
    return types.every((type, index) => this.#tokens[this.#at + index]?.type === type);
  }
}

const endToken: Token = { type: 'end', value: '' };
