import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';

export interface HttpOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Whether the process works; false or an error makes an orchestrator restart it. */
  healthy(): boolean | Promise<boolean>;
  /** Whether it does its work now; default: `healthy`. */
  ready?(): boolean | Promise<boolean>;
  readonly registry: Registry;
}

export interface HttpEndpoint {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves /healthz and /readyz (200 or 503) and /metrics (Prometheus text). GET and HEAD only.
 * Rejects when the address cannot be listened on, naming it and the setting to change.
 */
export async function startHttp(options: HttpOptions): Promise<HttpEndpoint> {
  const server = createServer((request, response) => {
    // Not by URL: it throws for some of what a client may send.
    const [path = '/'] = (request.url ?? '/').split('?', 1);
    void respond(options, path, request.method ?? 'GET', response);
  });
  server.listen(options.port, options.host);
  try {
    await once(server, 'listening');
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    throw new Error(
      `cannot serve health and metrics on ${options.host}:${options.port} (${code}): choose another port under \`service\` in the configuration`,
      { cause },
    );
  }
  const { address, family, port } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function respond(options: HttpOptions, path: string, method: string, response: ServerResponse): Promise<void> {
  const send = (status: number, body: string, type = 'text/plain; charset=utf-8') => {
    response.writeHead(status, { 'content-type': type }).end(method === 'HEAD' ? undefined : body);
  };
  const sendCheck = async (check: () => boolean | Promise<boolean>, good: string, bad: string) => {
    const passed = await Promise.resolve()
      .then(check)
      .catch(() => false);
    send(passed ? 200 : 503, `${passed ? good : bad}\n`);
  };
  if (method !== 'GET' && method !== 'HEAD') return send(405, 'GET or HEAD only\n');
  switch (path) {
    case '/healthz':
      return sendCheck(() => options.healthy(), 'healthy', 'unhealthy');
    case '/readyz':
      return sendCheck(() => (options.ready === undefined ? options.healthy() : options.ready()), 'ready', 'not ready');
    case '/metrics':
      try {
        return send(200, await options.registry.metrics(), options.registry.contentType);
      } catch {
        return send(500, 'metrics could not be collected\n');
      }
    default:
      return send(404, 'here are /healthz, /readyz and /metrics\n');
  }
}
