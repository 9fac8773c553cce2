import { type SentinelConnectionOptions, SentinelConnector } from 'ioredis';

interface Watch {
  /** What the sentinels say about this connection's master from now on does not matter. */
  cleanup(): void;
}

/**
 * ioredis's own, which closes the connection when the sentinels name another master; but what the sentinels say once the
 * connection is lost anyway must not end the attempt to make the next one. Upstream it does, and the client stays closed.
 */
export class PatientSentinelConnector extends SentinelConnector {
  constructor(options: unknown) {
    super(options as SentinelConnectionOptions);
  }

  override connect(...args: Parameters<SentinelConnector['connect']>): ReturnType<SentinelConnector['connect']> {
    (this as unknown as { failoverDetector: Watch | null }).failoverDetector?.cleanup();
    return super.connect(...args);
  }
}
