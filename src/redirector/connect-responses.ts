/**
 * Responses to CONNECT on a raw socket: the one that opens a tunnel and those that refuse it.
 * Bun, on which Claude Code runs, requires that the 200 has no headers, and that a refusal has a length (wire.md, How Claude Code reaches the API; observed on 2.1.330).
 */
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { type Refusal } from './statuses.ts';

/** Time for a refused client to read the response and to close. */
const LINGER_MS = 2000;

export function accept(client: Socket): void {
  client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
}

/** Sends a refusal and closes. Does nothing when the client has disconnected. */
export function refuse(client: Socket, refusal: Refusal): void {
  if (client.writableEnded) return; // Node emits an error for every further chunk of a bad request
  if (!client.writable) {
    client.destroy();
    return;
  }
  // Closing with pending input would send a reset, which can overtake the response; so the input is read and dropped.
  client.resume();
  const deadline = setTimeout(() => client.destroy(), LINGER_MS);
  client.once('end', () => client.destroySoon());
  client.once('close', () => clearTimeout(deadline));
  client.end(format(refusal));
}

const METHOD_TEXT =
  'This port is the CONNECT proxy of claude-db-proxy: set HTTPS_PROXY of Claude Code to it. It serves no other requests.\n';

/** Refuses a request with any other method, including a plain proxy's `GET http://…`. */
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
