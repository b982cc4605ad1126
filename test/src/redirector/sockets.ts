/** Real sockets for the tests of the redirector: listeners on port 0 and a client that speaks raw bytes. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP server that hands each connection to `serve`; half-closed connections live on. */
export async function startTcp(serve: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: portOf(server) };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** A connected client. It closes its half only when told to. */
export async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

/** All that `socket` still receives, until it ends or breaks. */
export async function drain(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  if (!socket.destroyed) await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => undefined);
  return Buffer.concat(chunks);
}

/** Sends `request` and returns the whole answer, once the other side has closed. */
export async function exchange(port: number, request: string): Promise<string> {
  const socket = await dial(port);
  socket.write(request);
  const answer = (await drain(socket)).toString('latin1');
  socket.destroy();
  return answer;
}

/** Sends a CONNECT, with `head` right behind it, and reads the answer's header; the socket is then the tunnel. */
export async function openTunnel(port: number, target: string, head: Buffer = Buffer.alloc(0)) {
  const socket = await dial(port);
  socket.write(Buffer.concat([Buffer.from(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`), head]));
  let answer = '';
  while (!answer.includes('\r\n\r\n')) {
    const chunk: unknown = socket.read(1); // byte by byte: what follows is the tunnel's
    if (chunk instanceof Buffer) answer += chunk.toString('latin1');
    else if (socket.readableEnded || socket.destroyed) break;
    else await Promise.race([once(socket, 'readable'), once(socket, 'end'), once(socket, 'close')]);
  }
  socket.removeAllListeners('readable');
  return { socket, answer };
}

/** Waits until `holds` does, for at most two seconds. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 2000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error('waited two seconds in vain');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
