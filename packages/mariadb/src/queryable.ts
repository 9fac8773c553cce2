/** A connection or pool of the `mariadb` package, whatever its options for numbers. */
export interface Queryable {
  query<Rows>(sql: string, values?: unknown): Promise<Rows>;
}
