const credentials = /(\b[a-z][a-z0-9+.-]*:\/\/)([^\s:@/]*):\S*@/gi;
/** pg and ioredis take the password from here, too. */
const secretParameters = /([?&](?:password|sslpassword|pass)=)[^&\s]*/gi;
const secretKeys = /^(\w*password|passwd|secret|token|authorization)$/i;
const maxDepth = 6;

/** `postgres://user:secret@host/db` → `postgres://user:***@host/db`, anywhere in a text; rather too much than too little. */
export function redactUrl(text: string): string {
  return text.replace(credentials, '$1$2:***@').replace(secretParameters, '$1***');
}

/**
 * A copy of `value` that is fit for a log: passwords inside URLs and values of keys such as `password` are
 * replaced by `***`. Errors, buffers and other class instances pass unchanged.
 */
export function redactSecrets(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactUrl(value);
  if (value === null || typeof value !== 'object' || depth > maxDepth) return value;
  if (Array.isArray(value)) return value.map((item) => redactSecrets(item, depth + 1));
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretKeys.test(key) ? '***' : redactSecrets(item, depth + 1)]),
  );
}
