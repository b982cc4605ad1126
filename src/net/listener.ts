/** A listening socket: binds a port and reports when it stops listening unexpectedly. */
import type { AddressInfo, Server } from 'node:net';
import { codeOf, ListenError } from '../errors.ts';

export interface Listener {
  /** Binds; may be called again after a failure. Rejects with {@link ListenError}; port 0 picks a free port. */
  listen(host: string, port: number): Promise<AddressInfo>;
  /** True while it listens. */
  readonly up: boolean;
  /** Stops listening; the caller closes open connections. */
  stop(): void;
  /** Registers a listener for failures. Returns a function that removes it. */
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
        // After an error that did not close the socket.
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
