/**
 * The errors of this proxy, one class for each kind, each with a stable `code`. `error-responses.ts` maps them to responses.
 * A message says what happened, to what, and what to do. It never contains a header, a body or a credential.
 */
import type { CallFailureKind } from '../machines/conversation-events.ts';

/** Base class of all errors that the proxy throws. `code` is stable across versions; the wording is not. */
export abstract class ProxyError extends Error {
  abstract readonly code: string;

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An invalid setting; the proxy does not start. */
export class ConfigError extends ProxyError {
  readonly code = 'DBPROXY_ERR_CONFIG';
  /** Name of the variable, e.g. `DBPROXY_SWAP_THRESHOLD`. */
  readonly variable: string;

  constructor(variable: string, value: string, allowed: string) {
    super(`${variable}=${value} cannot be used: ${allowed}`);
    this.variable = variable;
  }
}

/** A listener could not be bound to its port. */
export class ListenError extends ProxyError {
  readonly code = 'DBPROXY_ERR_LISTEN';
  /** The setting that names the port, e.g. `DBPROXY_PROXY_PORT`. */
  readonly variable: string;
  /** The errno name, e.g. `EADDRINUSE`. */
  readonly reason: string;

  constructor(variable: string, host: string, port: number, reason: string, options?: ErrorOptions) {
    const what = reason === 'EADDRINUSE' ? 'is in use by another process' : 'cannot be listened on';
    super(`${variable}=${port} cannot be used: ${host}:${port} ${what} (${reason}); choose a free port`, options);
    this.variable = variable;
    this.reason = reason;
  }
}

/** The proxy could not be started, stopped or reached in the requested runtime. */
export class RuntimeError extends ProxyError {
  readonly code = 'DBPROXY_ERR_RUNTIME';
}

/** The upstream could not be connected to, or the connection broke before its response began. */
export class UpstreamUnreachableError extends ProxyError {
  readonly code = 'DBPROXY_ERR_UPSTREAM_UNREACHABLE';
}

/** The upstream sent bytes that are no HTTP/1.1 response. */
export class UpstreamProtocolError extends ProxyError {
  readonly code = 'DBPROXY_ERR_UPSTREAM_PROTOCOL';
}

/** A file or directory cannot be read or written. */
export class FileError extends ProxyError {
  readonly code = 'DBPROXY_ERR_FILE';
  readonly path: string;
  /** The errno name, e.g. `EACCES`. */
  readonly reason: string;

  /** @param action what was tried, as in "cannot `action` /path" */
  constructor(action: string, path: string, cause: unknown) {
    const reason = codeOf(cause);
    super(`cannot ${action} ${path} (${reason}); ${FILE_HINTS[reason] ?? 'check the path and its permissions'}`, {
      cause,
    });
    this.path = path;
    this.reason = reason;
  }
}

const FILE_HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'free space on the disk',
  EDQUOT: 'free space on the disk',
  EROFS: 'the file system is read-only: choose another DBPROXY_DATA_DIR',
};

/** The CA or a server certificate is unusable and cannot be replaced. */
export class CertificateError extends ProxyError {
  readonly code = 'DBPROXY_ERR_CERTIFICATE';
}

/** The state file cannot be used. The proxy keeps its state in memory. */
export class StoreError extends ProxyError {
  readonly code = 'DBPROXY_ERR_STORE';
}

/** A checkpoint call ended without a summary. */
export class CheckpointError extends ProxyError {
  readonly code = 'DBPROXY_ERR_CHECKPOINT';
  readonly failure: CallFailureKind;
  /** `retry-after` of the API's answer in milliseconds; undefined when there is none. */
  readonly retryAfterMs: number | undefined;

  constructor(failure: CallFailureKind, message: string, retryAfterMs?: number, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The message of a thrown value of any type. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A thrown value as an Error. */
export const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/**
 * The `code` of an error of Node, SQLite or this proxy, such as `ECONNREFUSED`; else `unknown`. An AggregateError (both
 * address families were tried, RFC 8305) has the code of its first error: the attempts for one name mostly fail alike.
 */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error instanceof AggregateError ? codeOf(error.errors[0]) : 'unknown';
}
