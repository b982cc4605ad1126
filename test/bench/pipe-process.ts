/**
 * What Node adds by itself: TLS on both sides and nothing in between, no HTTP, no backpressure, no reading along. Each piece
 * is sent on as it comes; where pieces are many, whoever gathers them can do better.
 */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';

const [port, certFile, keyFile, caFile] = process.argv.slice(2);
if (certFile === undefined || keyFile === undefined || caFile === undefined) throw new Error('port, cert, key, ca');
const ca = readFileSync(caFile);
const server = createServer({ cert: readFileSync(certFile), key: readFileSync(keyFile) }, (client) => {
  const upstream = connect({ host: '127.0.0.1', port: Number(port), servername: 'localhost', ca });
  for (const [from, to] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    from.setNoDelay(true);
    from.on('data', (chunk: Buffer) => to.write(chunk));
    from.on('close', () => to.destroy()).on('error', () => undefined);
  }
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
