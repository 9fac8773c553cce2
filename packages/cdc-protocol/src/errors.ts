/**
 * Every way this client can fail. The text beside each code is what the operator should do about it; it is
 * available as `CdcError.advice`. Decide on the code, never on a message.
 */
export const cdcErrorAdvice = {
  /** Nothing listens at that address. */
  CONNECTION_REFUSED:
    'Check host and port of the CDC listener and that MaxScale is running; MaxScale refuses connections while it restarts, so try again later.',
  /** The address could not be reached: unknown host name, no route, reset while dialling. */
  CONNECTION_FAILED: 'Check the host name, the network and the firewall between this machine and MaxScale.',
  /** TCP connect (with TLS: the TLS handshake too) took longer than `timeouts.dialMs`. */
  DIAL_TIMEOUT: 'Check that the port is reachable and not silently filtered; raise timeouts.dialMs on a slow network.',
  /** The TLS handshake failed: untrusted or wrong certificate, or a listener without TLS. */
  TLS_FAILED:
    'Check tls.ca, tls.servername and the client certificate, and that the CDC listener has ssl=true; the cause tells which.',
  /** No answer to the authentication or to REGISTER within `timeouts.handshakeMs`. */
  HANDSHAKE_TIMEOUT:
    'Check that the port is a CDC listener. A MaxScale whose worker threads are busy with other readers answers late: raise timeouts.handshakeMs.',
  /** The socket did not take a command within `timeouts.writeMs`. */
  WRITE_TIMEOUT: 'The server has stopped reading: check the MaxScale host and the network, then connect again.',
  /** Not one byte within `timeouts.idleMs`, although the client was reading. */
  IDLE_TIMEOUT:
    'Connect again and resume. A quiet table is silent too (the protocol has no heartbeat), so set timeouts.idleMs above its longest pause.',
  /** MaxScale refused user and password. */
  AUTH_FAILED:
    'Check user and password against the cdcusers file of the avrorouter service, or use the service user; a user name may have at most 43 bytes.',
  /** MaxScale refused REGISTER. */
  REGISTRATION_FAILED:
    'Check that the listener has protocol=CDC and its service router=avrorouter, and that the UUID is not empty.',
  /** Bytes that this protocol does not have: invalid UTF-8, an unknown kind of line, an unexpected answer. */
  PROTOCOL_VIOLATION:
    'Check that the port is a CDC listener and its MaxScale version is supported; if it is, keep the bytes around the place and report them.',
  /** A line longer than `maxLineBytes`. */
  LINE_TOO_LONG: 'Raise maxLineBytes above the size of the largest row as JSON; 512 MiB is the highest possible.',
  /** MaxScale closed the connection: restart, fatal file error (told by the message before), or dropped client. */
  CLOSED_BY_SERVER:
    'Connect again and resume. If a fatal server error came before, repair that first: it will come again.',
  /** The connection broke: reset, or TCP keep-alive unanswered. */
  CONNECTION_LOST: 'Connect again and resume; if it recurs, look at the network and at MaxScale for crashes.',
  /** The connection is closed, by `close()`, by the abort signal or by an earlier error. */
  NOT_OPEN: 'Use a new connection. A connection is open until close(), abort, or its first error.',
  /** The caller's AbortSignal fired. */
  ABORTED: 'Nothing: the caller asked for it.',
  /** An option, name, version or GTID that must not be sent. */
  INVALID_ARGUMENT: 'Correct the value that the message names.',
  /** A request while an earlier one is unanswered or streaming; a connection carries one table. */
  REQUEST_ACTIVE: 'Use one connection per table. After NO_SUCH_FILE another request may follow on the same connection.',
  /** Two iterations of one connection waited at the same time. */
  CONCURRENT_READ: 'Iterate a connection from one place only.',
} as const;

export type CdcErrorCode = keyof typeof cdcErrorAdvice;

/** What this package throws. Its message never holds the password or the authentication message. */
export class CdcError extends Error {
  override readonly name = 'CdcError';
  readonly code: CdcErrorCode;

  constructor(code: CdcErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** What the operator should do. */
  get advice(): string {
    return cdcErrorAdvice[this.code];
  }
}
