/** A plain client for the tests of the simulated API: one connection per request, nothing is hidden. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { brotliDecompressSync, gunzipSync, inflateSync } from 'node:zlib';
import { type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { isObject } from '../../../src/wire/json.ts';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: Buffer;
  readonly text: string;
  /** Pieces in which the body arrived. */
  readonly pieces: number;
  /** The body broke off before its end. */
  readonly cut: boolean;
}

export interface Sending {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** A string goes as it is, all else as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** Called with all that has come so far. */
  readonly onData?: (soFar: string) => void;
}

const HEADERS = { 'x-api-key': 'test-key', 'anthropic-version': '2023-06-01', 'content-type': 'application/json' };

/** Sends a request; rejects where no answer begins. */
export function send(api: Pick<SimulatedApi, 'url'>, path: string, sending: Sending = {}): Promise<Reply> {
  const { method = 'POST', body, signal, onData } = sending;
  const headers = Object.fromEntries(
    Object.entries<string | undefined>({ ...HEADERS, ...sending.headers }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
  const open = api.url.startsWith('https') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false, rejectUnauthorized: false, ...(signal && { signal }) };
    let begun = false;
    const outgoing = open(api.url + path, options, (response) => {
      begun = true;
      const chunks: Buffer[] = [];
      const done = (): void => {
        const bytes = decode(Buffer.concat(chunks), response.headers['content-encoding']);
        const status = response.statusCode ?? 0;
        const { headers: received, complete } = response;
        resolve({ status, headers: received, bytes, text: bytes.toString(), pieces: chunks.length, cut: !complete });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        onData?.(Buffer.concat(chunks).toString());
      });
      response.on('error', () => undefined);
      response.on('close', done);
    });
    outgoing.on('error', (error) => {
      if (!begun) reject(error); // after the head, the answer counts as cut
    });
    outgoing.end(body === undefined || typeof body === 'string' ? body : JSON.stringify(body));
  });
}

/** Sends a request for a message. */
export function ask(api: Pick<SimulatedApi, 'url'>, body: unknown, sending: Sending = {}): Promise<Reply> {
  return send(api, '/v1/messages', { ...sending, body });
}

/** A request with a body of one short question, changed as given. */
export function question(changes: object = {}): object {
  return {
    model: 'claude-sonnet-4-6',
    messages: [{ role: 'user', content: 'How are you?' }],
    max_tokens: 32_000,
    stream: true,
    ...changes,
  };
}

export interface ParsedEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The events of a stream; broken ones are left out. */
export function eventsOf(text: string): readonly ParsedEvent[] {
  return text.split('\n\n').flatMap((part) => {
    const match = /^event: (.*)\ndata: (.*)$/.exec(part);
    if (match?.[1] === undefined || match[2] === undefined) return [];
    try {
      return [{ name: match[1], data: objectOf(JSON.parse(match[2])) }];
    } catch {
      return [];
    }
  });
}

/** The text of all text deltas. */
export function textOf(reply: Reply): string {
  return eventsOf(reply.text)
    .map(({ data }) => dig(data, 'delta', 'text'))
    .filter((text) => typeof text === 'string')
    .join('');
}

/** The error in an error answer. */
export function errorOf(reply: Reply): { readonly type: unknown; readonly message: string } {
  const json: unknown = JSON.parse(reply.text);
  return { type: dig(json, 'error', 'type'), message: String(dig(json, 'error', 'message')) };
}

/** A field deep in a JSON value. */
export function dig(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (isObject(inner) ? inner[name] : undefined), value);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {};
}

function decode(bytes: Buffer, encoding: string | undefined): Buffer {
  if (encoding === 'gzip') return gunzipSync(bytes);
  if (encoding === 'br') return brotliDecompressSync(bytes);
  return encoding === 'deflate' ? inflateSync(bytes) : bytes;
}
