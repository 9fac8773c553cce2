import type { Field } from '@afterimage/change-events';
import type { MariaType } from './maria-type.js';

/** What is known about a column beyond the stream: from the configuration, else from MariaDB. */
export interface ColumnKnowledge {
  /** Full MariaDB type: `decimal(20,4) unsigned`, `enum('a','b')`, `datetime(3)`, `binary(16)`. */
  readonly type?: string | undefined;
  readonly charset?: 'utf8' | 'latin1' | (string & {}) | undefined;
  /** PostgreSQL type of the mirror column, instead of the one of the table. */
  readonly postgres?: string | undefined;
  /** Whether its values are read from MariaDB when a row changes; absent: where the stream loses or bends them. */
  readonly lookup?: boolean | undefined;
}

export interface TypeSettings {
  /** Zone of the MaxScale host, in which TIMESTAMP values arrive. */
  readonly timeZone: string;
  /** What a date becomes that PostgreSQL has no value for: 0000-00-00, 2024-05-00, 2023-02-30. */
  readonly zeroDates: 'null' | '-infinity';
  /** What becomes of a NUL character, which PostgreSQL's text cannot hold. */
  readonly nulCharacters: 'remove' | 'replace';
}

/** How one column of the stream becomes one column of the mirror; values pass through SQL only. */
export interface ColumnMapping {
  /** Type of the mirror column, e.g. `numeric(10,2)`. */
  readonly postgresType: string;
  /** Type of the column in the column list of `json_to_recordset`. */
  readonly jsonType: string;
  /** Full MariaDB type where known, else the type word of the stream, normalised. */
  readonly sourceType: string;
  /** How the stream may lose or bend values of this column, in one sentence; null = every value arrives exactly. */
  readonly unreliable: string | null;
  /** What the operator could configure, or configured in vain, for this column; null = nothing to say. */
  readonly notice: string | null;
  /** True when values can be compared and hashed as they are: fit for a key, and for `hash_record_extended`. */
  readonly identity: boolean;
  /**
   * SQL that turns `ref` (a quoted column reference of `jsonType`) into `postgresType`. `nul` is the SQL of the text
   * parameter that stands for a NUL character in this batch, or null when the batch has none.
   */
  value(ref: string, nul: string | null): string;
  /** SQL boolean (or NULL): the stream lost or bent this value, or may have; null when it never does. */
  lost(ref: string): string | null;
}

/** A column as the families of types see it. */
export interface SourceColumn {
  readonly field: Field;
  /** The full type, where it is known and fits what the stream says. */
  readonly known: MariaType | null;
  readonly unsigned: boolean;
  readonly charset: string;
  readonly settings: TypeSettings;
}

/** A mapping before an overriding type is applied; what is left out is null. */
export interface MappingDraft {
  readonly postgresType: string;
  readonly jsonType: string;
  readonly value: (ref: string, nul: string | null) => string;
  readonly lost?: (ref: string) => string;
  readonly unreliable?: string;
  readonly notice?: string;
}

/** A line of docs/type-mapping.md. */
export interface TypeNote {
  readonly mariadb: string;
  readonly postgres: string;
  readonly arrives: string;
  readonly done: string;
  readonly lost: string;
  readonly configure: string;
}

/** MariaDB types that are mapped alike. */
export interface TypeFamily {
  /** Type words, lower-case; aliases included. */
  readonly words: readonly string[];
  readonly notes: readonly TypeNote[];
  map(column: SourceColumn): MappingDraft;
}
