/** Maps failures to error responses in the API's format. */
import { ProxyError } from './errors.ts';

export interface ErrorAnswer {
  readonly status: number;
  /** Reason phrase; the standard one for failures of the proxy. */
  readonly reason?: string;
  /** The API's `error.type`. */
  readonly type: string;
  readonly message: string;
}

/** Status, reason and error type by failure code. Claude Code retries after 5xx, which is right for all of these. */
const TABLE: Readonly<Record<string, readonly [status: number, reason: string, type: string]>> = {
  DBPROXY_ERR_UPSTREAM_UNREACHABLE: [502, 'Bad Gateway', 'api_error'],
  DBPROXY_ERR_UPSTREAM_PROTOCOL: [502, 'Bad Gateway', 'api_error'],
};
const UNEXPECTED = [500, 'Internal Server Error', 'api_error'] as const;

export function answerFor(error: unknown): ErrorAnswer {
  const [status, reason, type] = (error instanceof ProxyError ? TABLE[error.code] : undefined) ?? UNEXPECTED;
  const message = error instanceof ProxyError ? error.message : 'something went wrong in the proxy; see its log';
  return { status, reason, type, message };
}

/** An error in the API's format. Its message names the proxy, so that users do not look for the cause at the API. */
export function errorAnswer(answer: ErrorAnswer): { readonly headers: readonly string[]; readonly body: Buffer } {
  const error = { type: answer.type, message: `claude-db-proxy: ${answer.message}` };
  return {
    headers: ['content-type', 'application/json'],
    body: Buffer.from(JSON.stringify({ type: 'error', error })),
  };
}
