/** The one table from a failure to what the client is answered, in the API's own error shape. */
import type { ServerResponse } from 'node:http';
import { ProxyError } from './errors.ts';

export interface ErrorAnswer {
  readonly status: number;
  /** The API's `error.type`. */
  readonly type: string;
  readonly message: string;
}

/** Status and error type by failure code. Claude Code tries again after 5xx, which is right for all of these. */
const TABLE: Readonly<Record<string, readonly [status: number, type: string]>> = {
  DBPROXY_ERR_UPSTREAM_UNREACHABLE: [502, 'api_error'],
  DBPROXY_ERR_UPSTREAM_PROTOCOL: [502, 'api_error'],
};

/** What a client is told of a failure. Messages begin with `claude-db-proxy:`, so that nobody looks for it at the API. */
export function answerFor(error: unknown): ErrorAnswer {
  const [status, type] = (error instanceof ProxyError ? TABLE[error.code] : undefined) ?? [500, 'api_error'];
  const message = error instanceof ProxyError ? error.message : 'something went wrong in the proxy; see its log';
  return { status, type, message };
}

/** Answers with an error, sized, in the API's shape. Does nothing when an answer has begun. */
export function sendError(response: ServerResponse, answer: ErrorAnswer, headers: readonly string[] = []): void {
  if (response.headersSent || response.destroyed) return;
  const error = { type: answer.type, message: `claude-db-proxy: ${answer.message}` };
  const body = Buffer.from(JSON.stringify({ type: 'error', error }));
  const framing = ['content-type', 'application/json', 'content-length', String(body.length)];
  response.writeHead(answer.status, [...framing, ...headers]);
  response.end(body);
}
