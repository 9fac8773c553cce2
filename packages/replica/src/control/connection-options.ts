/** So that the server notices a client whose machine is gone within about 25 s instead of two hours. */
export const serverKeepalive = '-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3';

/**
 * The URL of a PostgreSQL with server settings (`-c name=value …`) beside those that its `options` may hold: pg lets these
 * replace what a pool or client gives, without a word. The last of two settings counts, so `first` may be set otherwise in
 * the URL, and `last` may not.
 */
export function withServerOptions(url: string, { first = '', last = '' }: { first?: string; last?: string }): string {
  const parsed = new URL(url);
  const own = parsed.searchParams.get('options') ?? '';
  parsed.searchParams.set('options', [first, own, last].filter((part) => part !== '').join(' '));
  return parsed.href;
}
