/** What MariaDB's information_schema says about a table, as plain data that can be stored and compared. */
export interface TableKnowledge {
  readonly database: string;
  readonly table: string;
  readonly comment: string;
  /** InnoDB, Aria, …; null where the server does not say. */
  readonly engine: string | null;
  /** With row history of its own (WITH SYSTEM VERSIONING): its rows never come through MaxScale. */
  readonly isSystemVersioned: boolean;
  /** In table order, invisible and generated ones included. */
  readonly columns: readonly ColumnKnowledge[];
  /** What identifies a row: the primary key, else the smallest unique key of columns that are NOT NULL; null: nothing. */
  readonly key: KeyKnowledge | null;
  /** All indexes, the primary key included. */
  readonly indexes: readonly IndexKnowledge[];
}

export interface KeyKnowledge {
  readonly kind: 'primary' | 'unique';
  /** Names as MariaDB has them, in the key's order. */
  readonly columns: readonly string[];
}

export interface IndexKnowledge {
  readonly name: string;
  readonly isUnique: boolean;
  /** BTREE, HASH, FULLTEXT, SPATIAL. */
  readonly method: string;
  readonly parts: readonly IndexPart[];
}

export interface IndexPart {
  readonly column: string;
  /** Characters (of binary columns, bytes) of the value that are indexed; null: all. */
  readonly prefix: number | null;
  readonly descending: boolean;
}

export interface ColumnKnowledge {
  /** As MariaDB has it. */
  readonly name: string;
  /** As MaxScale's stream has it: other characters than [A-Za-z0-9_] are `_`, names of its own get a `_`. */
  readonly streamName: string;
  /** As SHOW CREATE TABLE shows it, without character set: `int(10) unsigned`, `enum('new','it''s')`. */
  readonly definition: string;
  readonly type: ColumnType;
  readonly isNullable: boolean;
  readonly default: ColumnDefault;
  readonly generated: GeneratedColumn | null;
  readonly isInvisible: boolean;
  readonly isAutoIncrement: boolean;
  /** The expression after ON UPDATE, e.g. `current_timestamp(3)`. */
  readonly onUpdate: string | null;
  readonly comment: string;
}

/** Types by what they hold; `name` is MariaDB's word, in lower case. */
export type ColumnType =
  | { readonly kind: 'integer'; readonly name: IntegerName; readonly isUnsigned: boolean; readonly isZerofill: boolean }
  | { readonly kind: 'decimal'; readonly precision: number; readonly scale: number; readonly isUnsigned: boolean }
  /** With `FLOAT(m,d)` the declared digits, else null. */
  | {
      readonly kind: 'float';
      readonly name: 'float' | 'double';
      readonly precision: number | null;
      readonly scale: number | null;
      readonly isUnsigned: boolean;
    }
  | { readonly kind: 'bit'; readonly length: number }
  | { readonly kind: 'date' | 'year' | 'uuid' | 'inet4' | 'inet6' }
  /** `decimals`: of a second, 0 to 6. */
  | { readonly kind: 'time' | 'datetime' | 'timestamp'; readonly decimals: number }
  /** `length` in characters; of TEXT types in bytes. JSON is a longtext with `isJson`. */
  | {
      readonly kind: 'text';
      readonly name: 'char' | 'varchar' | 'tinytext' | 'text' | 'mediumtext' | 'longtext';
      readonly length: number;
      readonly charset: string;
      readonly collation: string;
      readonly isJson: boolean;
      readonly isCompressed: boolean;
    }
  /** `length` in bytes. */
  | {
      readonly kind: 'binary';
      readonly name: 'binary' | 'varbinary' | 'tinyblob' | 'blob' | 'mediumblob' | 'longblob';
      readonly length: number;
      readonly isCompressed: boolean;
    }
  | {
      readonly kind: 'enum' | 'set';
      readonly labels: readonly string[];
      readonly charset: string;
      readonly collation: string;
    }
  | { readonly kind: 'geometry'; readonly name: string }
  /** A type that this version does not know, e.g. of a plugin. */
  | { readonly kind: 'other'; readonly name: string };

export type IntegerName = 'tinyint' | 'smallint' | 'mediumint' | 'int' | 'bigint';

/**
 * What an INSERT without the column puts there. A `value` is the literal's text, of a binary column `bytes`; an
 * `expression` is SQL, as `current_timestamp(3)` or `uuid()`, or bytes that information_schema does not show.
 */
export type ColumnDefault =
  | { readonly kind: 'none' }
  | { readonly kind: 'null' }
  | { readonly kind: 'value'; readonly text: string }
  | { readonly kind: 'bytes'; readonly hex: string }
  | { readonly kind: 'expression'; readonly sql: string };

export interface GeneratedColumn {
  readonly storage: 'virtual' | 'stored';
  readonly expression: string;
}
