/**
 * Answers on a bare socket: the one that opens a tunnel and those that refuse one.
 * Bun, on which Claude Code runs, is strict here: the 200 has an empty header block, and a refusal has a length and is
 * never ended by closing alone (wire.md, How Claude Code reaches the API; observed on 2.1.330).
 */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { type Refusal } from './statuses.ts';

/** How long a refused client may take to read its answer and to close. */
const LINGER_MS = 2000;

/** Tells the client that its tunnel is open. */
export function accept(client: Socket): void {
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
}

/** Answers with `refusal` and closes. Does nothing where the client has gone already. */
export function refuse(client: Socket, refusal: Refusal): void {
  if (client.writableEnded) return; // Node reports every further piece of a bad request
  if (!client.writable) {
    client.destroy();
    return;
  }
  // Closing with bytes unread would send a reset, which can overtake the answer: read them away, for a while.
  client.resume();
  const deadline = setTimeout(() => client.destroy(), LINGER_MS);
  client.once('end', () => client.destroySoon());
  client.once('close', () => clearTimeout(deadline));
  client.end(format(refusal));
}

const METHOD_TEXT =
  'This port is the CONNECT proxy of claude-db-proxy: set HTTPS_PROXY of Claude Code to it. It serves no other requests.\n';

/** Answers a request with any other method, `GET http://…` of a plain proxy included. */
export function refuseMethod(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  response.writeHead(405, {
    allow: 'CONNECT',
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(METHOD_TEXT),
    connection: 'close',
  });
  response.end(METHOD_TEXT);
}

function format({ status, text }: Refusal): string {
  const body = `${text}\n`;
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    '',
    body,
  ].join('\r\n');
}
