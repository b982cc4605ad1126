/**
 * One exchange on its way:
 *
 *   client ──request──▶ upstream        bytes as they come, held back as fast as the upstream reads
 *   client ◀──answer─── upstream        bytes as they come, held back as fast as the client reads
 *
 * Hop-by-hop headers are the only ones that change. An observer may look on; it never holds anything up.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { answerFor, sendError } from '../answers.ts';
import type { Log } from '../log.ts';
import type { Upstream } from '../upstream/upstream.ts';
import { endToEnd, withoutHeaders, type RawHeaders } from '../wire/headers.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Looks on while an answer passes. A throw in it is logged and changes nothing. */
export interface AnswerObserver {
  /** Headers to add to the answer. */
  head?(status: number, headers: RawHeaders): readonly string[];
  data?(chunk: Buffer): void;
  /** The answer has been passed on whole. */
  end?(): void;
}

export interface RelayOptions {
  readonly upstream: Upstream;
  readonly log: Log;
}

/** Headers that the way out writes itself (`host`), or that belong to this hop (`expect` was answered here). */
const OURS = new Set(['host', 'expect', 'trailer']);

/** The request's headers as they go to the upstream. */
export const requestHeaders = (raw: RawHeaders): string[] => withoutHeaders(endToEnd(raw), (name) => OURS.has(name));

/**
 * Sends a request on and its answer back.
 *
 * @param body what to send: the request itself (or a stream that it runs through), bytes, or null for none
 * @param headers made by {@link requestHeaders}
 */
export function relay(
  options: RelayOptions,
  exchange: Exchange,
  body: Buffer | Readable | null,
  headers: RawHeaders,
  observer: AnswerObserver = {},
): void {
  const { log, upstream } = options;
  const { request, response } = exchange;
  response.sendDate = false;

  const observed = <T>(fallback: T, look: () => T): T => {
    try {
      return look();
    } catch (error) {
      log.error('observer.failed', { message: error instanceof Error ? error.message : String(error) });
      return fallback;
    }
  };

  const call = upstream.send(
    { method: request.method ?? 'GET', path: request.url ?? '/', headers, body },
    {
      onHead(status, reason, answerHeaders) {
        const added = observed([], () => observer.head?.(status, answerHeaders) ?? []);
        response.writeHead(status, reason, [...endToEnd(answerHeaders), ...added]);
        response.flushHeaders();
      },
      onData(chunk) {
        const more = response.write(chunk);
        observed(undefined, () => observer.data?.(chunk));
        return more;
      },
      onEnd(trailers) {
        if (trailers.length > 0) addTrailers(response, trailers);
        response.end();
        observed(undefined, () => observer.end?.());
      },
      onError(error) {
        if (response.destroyed) return;
        log.warn('upstream.failed', { code: error.code, message: error.message, begun: response.headersSent });
        // What had begun can only be cut off, as the API's own connection was.
        if (response.headersSent) response.destroy();
        else
          sendError(
            response,
            answerFor(error),
            observed([], () => observer.head?.(502, []) ?? []),
          );
      },
    },
  );
  response.on('drain', () => call.resume());
  response.on('close', () => {
    if (!response.writableFinished) call.abort();
  });
}

function addTrailers(response: ServerResponse, trailers: RawHeaders): void {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < trailers.length; at += 2) pairs.push([trailers[at] ?? '', trailers[at + 1] ?? '']);
  response.addTrailers(pairs);
}
