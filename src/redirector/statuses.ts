/** Maps errors of opening a tunnel to the response that the client gets. Pure. */
import { codeOf } from '../errors.ts';

/** A status, and one line for the client's log. */
export interface Refusal {
  readonly status: 400 | 403 | 405 | 408 | 431 | 502 | 503 | 504;
  readonly text: string;
}

const BY_CODE: ReadonlyMap<string, Refusal> = new Map<string, Refusal>(
  Object.entries({
    ENOTFOUND: { status: 502, text: 'no such host' },
    EAI_AGAIN: { status: 502, text: 'the name cannot be looked up at the moment' },
    ECONNREFUSED: { status: 502, text: 'connection refused' },
    ECONNRESET: { status: 502, text: 'connection reset' },
    ECONNABORTED: { status: 502, text: 'connection aborted' },
    EPIPE: { status: 502, text: 'connection closed' },
    EHOSTUNREACH: { status: 502, text: 'host unreachable' },
    ENETUNREACH: { status: 502, text: 'network unreachable' },
    ENETDOWN: { status: 502, text: 'network down' },
    EADDRNOTAVAIL: { status: 502, text: 'no local address to connect from' },
    EACCES: { status: 502, text: 'not permitted by this machine' },
    EPERM: { status: 502, text: 'not permitted by this machine' },
    ETIMEDOUT: { status: 504, text: 'no answer in time' },
    // Shortages on this machine: the client may retry.
    EMFILE: { status: 503, text: 'too many open files' },
    ENFILE: { status: 503, text: 'too many open files' },
    ENOBUFS: { status: 503, text: 'out of buffers' },
  } satisfies Record<string, Refusal>),
);

const UNKNOWN: Refusal = { status: 502, text: 'connection failed' };

/** The refusal for an error while connecting to the destination. */
export function refusalOf(error: unknown): Refusal {
  return BY_CODE.get(codeOf(error)) ?? UNKNOWN;
}

/** The refusal for an error of Node's HTTP parser (`clientError`). */
export function refusalOfRequest(error: unknown): Refusal {
  const code = codeOf(error);
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, text: 'the request header is too big' };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, text: 'the request did not arrive in time' };
  return { status: 400, text: 'this is no HTTP/1.1 request' };
}
