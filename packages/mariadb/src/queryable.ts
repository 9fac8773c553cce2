/** A connection or pool of the `mariadb` package, whatever its options for numbers. */
export interface Queryable {
  query<Rows>(sql: string | { readonly sql: string; readonly rowsAsArray?: boolean }, values?: unknown): Promise<Rows>;
}
