/** Sends a checkpoint call to the API and reads the summary from its streamed answer. */
import { performance } from 'node:perf_hooks';
import type { CallFailureKind } from '../../machines/conversation-events.ts';
import { milliseconds, type Milliseconds } from '../../machines/units.ts';
import { asError, CheckpointError, type ProxyError } from '../errors.ts';
import { extractSummary } from '../compaction/summary-text.ts';
import type { HttpClient } from '../upstream/http-client.ts';
import { AnswerReader, readApiError, type Usage } from '../wire/answer-reader.ts';
import { headerValue, withoutHeaders, type RawHeaders } from '../wire/headers.ts';
import { SseReader } from '../wire/sse.ts';

/** Limit for an answer that is no stream: an error, or a whole message. */
const MAX_ANSWER_BYTES = 1024 * 1024;

const isJson = (headers: RawHeaders): boolean =>
  (headerValue(headers, 'content-type') ?? '').includes('application/json');

export interface CheckpointCall {
  /** Path and query of the conversation's last request. */
  readonly path: string;
  /** End-to-end headers of that request, credentials included. */
  readonly headers: RawHeaders;
  /** Made by `checkpointBody`. */
  readonly body: Buffer;
}

export interface CheckpointResult {
  readonly summary: string;
  readonly usage: Usage;
  readonly duration: Milliseconds;
}

/** Headers about the client's body or the encoding of its answer, which the call replaces. */
const REPLACED = new Set(['content-length', 'content-encoding', 'accept-encoding', 'host', 'expect', 'trailer']);

/** Types of an `error` event that stand for the statuses 400, 401, 402, 403, 404 and 413. All others are transient. */
const REFUSALS = new Set([
  ...['invalid_request_error', 'authentication_error', 'billing_error', 'permission_error', 'not_found_error'],
  'request_too_large',
]);

function failureOfStatus(status: number, message: string): CallFailureKind {
  if (/prompt is too long|exceeds? .*context|input is too long/i.test(message)) return 'too_long';
  if (status === 408 || status === 409 || status === 429 || status >= 500) return 'transient';
  return 'rejected';
}

/** `retry-after` in seconds, as the API sends it (wire.md, Streaming and errors); undefined for anything else. */
function retryAfterMs(headers: RawHeaders): number | undefined {
  const value = headerValue(headers, 'retry-after')?.trim();
  return value !== undefined && /^\d+(\.\d+)?$/.test(value) ? Number(value) * 1_000 : undefined;
}

function statusError(status: number, headers: RawHeaders, body: Buffer): CheckpointError {
  let message = '';
  let type = '';
  try {
    const error = readApiError(JSON.parse(body.toString('utf8')));
    message = error?.message ?? '';
    type = error?.type ?? '';
  } catch {
    // Not JSON: only the status is known.
  }
  // Only the type is logged, because the API's message may quote the request.
  const suffix = type === '' ? '' : ` (${type})`;
  return new CheckpointError(
    failureOfStatus(status, message),
    `the API answered the checkpoint call with ${status}${suffix}`,
    retryAfterMs(headers),
  );
}

function summaryOf(reader: AnswerReader): string {
  if (reader.error !== null) {
    const { type, message } = reader.error;
    const failure = failureOfStatus(REFUSALS.has(type) ? 400 : 500, message);
    throw new CheckpointError(failure, `the checkpoint's stream ended with an error (${type})`);
  }
  if (!reader.completed) throw new CheckpointError('transient', "the checkpoint's stream ended before its end");
  if (reader.blocks.some((type) => type.endsWith('tool_use'))) {
    throw new CheckpointError('unusable', 'the model called a tool instead of writing a summary');
  }
  if (reader.stopReason === 'max_tokens' || reader.stopReason === 'model_context_window_exceeded') {
    throw new CheckpointError('unusable', 'the summary did not fit into its answer and was cut off');
  }
  if (reader.stopReason === 'refusal') throw new CheckpointError('unusable', 'the model refused to write a summary');
  const summary = extractSummary(reader.text);
  if (summary === '') throw new CheckpointError('unusable', 'the model answered with an empty summary');
  return summary;
}

/**
 * Performs one checkpoint call.
 *
 * @throws CheckpointError when there is no summary, also after an abort
 */
export function performCheckpointCall(
  upstream: HttpClient,
  call: CheckpointCall,
  signal: AbortSignal,
): Promise<CheckpointResult> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const reader = new AnswerReader({ keepText: true });
    const sse = new SseReader((event) => reader.takeEvent(event));
    const body: Buffer[] = [];
    let bytes = 0;
    let head: { readonly status: number; readonly headers: RawHeaders } | undefined;

    const finish = (outcome: () => CheckpointResult): void => {
      signal.removeEventListener('abort', abort);
      try {
        resolve(outcome());
      } catch (error) {
        reject(asError(error));
      }
    };
    const abort = (): void => {
      finish(() => {
        throw new CheckpointError('transient', 'the checkpoint call was aborted');
      });
      running.abort();
    };
    const running = upstream.send(
      {
        method: 'POST',
        path: call.path,
        headers: [
          ...withoutHeaders(call.headers, (name) => REPLACED.has(name.toLowerCase())),
          'accept-encoding',
          'identity',
        ],
        body: call.body,
      },
      {
        onHead: (status, _reason, headers) => {
          head = { status, headers };
        },
        onData: (chunk) => {
          if (head?.status === 200 && !isJson(head.headers)) sse.push(chunk);
          else if (bytes < MAX_ANSWER_BYTES) {
            body.push(chunk);
            bytes += chunk.length;
          }
          return true;
        },
        onEnd: () =>
          finish(() => {
            if (head?.status !== 200) throw statusError(head?.status ?? 0, head?.headers ?? [], Buffer.concat(body));
            // Some gateways answer with a whole message although a stream was requested.
            if (isJson(head.headers)) reader.takeBody(Buffer.concat(body).toString('utf8'));
            const summary = summaryOf(reader);
            return { summary, usage: reader.usage, duration: milliseconds(performance.now() - began) };
          }),
        onError: (error: ProxyError) =>
          finish(() => {
            throw new CheckpointError('transient', error.message, undefined, { cause: error });
          }),
      },
    );
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
  });
}
