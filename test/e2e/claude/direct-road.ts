/**
 * The way to the API without our proxy: a CONNECT tunnel that forwards blindly, and TLS that ends in front of the
 * simulated API. The client cannot tell it from a corporate proxy and the real API.
 *
 *   client ─CONNECT─▶ server ─▶ TLSSocket ─▶ simulated API (plain HTTP)
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { TLSSocket } from 'node:tls';

export interface DirectRoad {
  readonly port: number;
  close(): Promise<void>;
}

/** Opens the road to the API on `apiPort`, with the certificate that the proxy made for that name. */
export async function openDirectRoad(apiPort: number, caPath: string): Promise<DirectRoad> {
  const directory = dirname(caPath);
  const key = readFileSync(join(directory, 'api-key.pem'));
  const cert = readFileSync(join(directory, 'api.pem'));
  const sockets = new Set<Socket>();
  const watched = <Any extends Socket>(socket: Any): Any => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    return socket;
  };
  const server = createServer();
  server.on('connection', watched);
  server.on('connect', (request, socket: Socket) => {
    if (request.url !== 'api.anthropic.com:443') {
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    const tls = watched(new TLSSocket(socket, { isServer: true, key, cert, ALPNProtocols: ['http/1.1'] }));
    const api = watched(connect(apiPort, '127.0.0.1'));
    tls.pipe(api).pipe(tls);
    tls.on('close', () => api.destroy());
    api.on('close', () => tls.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
