/** What both listeners share: to bind a port, and to notice when a listener stops listening that should. */
import type { AddressInfo, Server } from 'node:net';
import { codeOf, ListenError } from '../errors.ts';

export interface Listener {
  /** Binds. May be called again after a failure. Rejects with {@link ListenError}; port 0 takes a free one. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** True from the moment it listens until it fails or {@link stop} is called. */
  readonly up: boolean;
  /** Accepts no more. Open connections are the caller's. */
  stop(): void;
  /** Called when the listener fails after it began to listen. Returns how to stop being called. */
  onFailure(listener: (error: Error) => void): () => void;
}

/** @param variable the setting that names the port, for the message when it cannot be bound */
export function createListener(server: Server, variable: string): Listener {
  const listeners = new Set<(error: Error) => void>();
  let up = false;
  const fail = (error: Error): void => {
    if (!up) return;
    up = false;
    for (const listener of listeners) listener(error);
  };
  server.on('error', fail);
  server.on('close', () => fail(new Error('the listening socket was closed')));
  return {
    get up() {
      return up;
    },
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        const refused = (error: unknown): void => {
          server.off('listening', bound);
          reject(new ListenError(variable, host, port, codeOf(error), { cause: error }));
        };
        const bound = (): void => {
          server.off('error', refused);
          up = true;
          resolve(server.address() as AddressInfo);
        };
        // An error that did not close the socket: it listens still.
        if (server.listening) {
          bound();
          return;
        }
        server.once('error', refused);
        server.once('listening', bound);
        server.listen(port, host);
      }),
    stop() {
      up = false;
      server.close();
    },
    onFailure(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
