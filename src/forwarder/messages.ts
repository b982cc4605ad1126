/**
 * `POST /v1/messages`: requests are forwarded while they arrive, and observed. Only a compaction that may be served from a
 * checkpoint is buffered first, and then either served or forwarded byte for byte.
 */
import { messageOf } from '../errors.ts';
import { formatResponseHead } from '../http1/head.ts';
import { headerValue, hasName, withoutHeaders } from '../wire/headers.ts';
import { readClientHeaders, type ClientHeaders } from '../wire/identity.ts';
import { AnswerObserver, ClassifiedRequest } from './answer-observer.ts';
import { withReadableEncodings } from './answer-tap.ts';
import { BodyCopy } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import { ExchangeObserver } from './exchange-observer.ts';
import {
  phaseHeaders,
  parseRequest,
  classifyByHeaders,
  type MessagesOptions,
  type RequestClassification,
  type CompleteRequest,
} from './request-classifier.ts';
import { relay } from './relay.ts';
import { requestHeaders } from './request-head.ts';
import { StreamedRequest } from './streamed-request.ts';

/** The header that marks a served compaction. */
const SERVED = ['x-double-buffer-served', 'checkpoint'];

/** Handles one `POST /v1/messages`. */
export function handleMessages(options: MessagesOptions, exchange: Exchange): void {
  const { compactions, deferredWork } = options;
  const labels = readClientHeaders(exchange.head.headers);
  const mayBeCompaction = labels.class === 'compaction' || labels.class === 'unknown';
  // Whether a compaction can be served depends on the previous answer.
  if (mayBeCompaction) deferredWork.runFor(labels.session);
  if (mayBeCompaction && compactions.canServe) bufferAndDecide(options, exchange, labels);
  else relayStreaming(options, exchange, labels);
  // Deferred, because the request's bytes go first.
  deferredWork.add(null, () => options.publish?.({ type: 'request.received' }));
}

/** Forwards the request while it arrives; it is parsed later. */
function relayStreaming(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders): void {
  const headers = requestHeaders(exchange.head.headers);
  if (labels.class === 'auxiliary') relay(options, exchange, { headers }, observeAnswer(options, labels, null));
  else {
    const request = new StreamedRequest(options, exchange, labels, headers);
    const observer = new ExchangeObserver(request, new AnswerObserver(options, labels, request));
    relay(options, exchange, { headers: withReadableEncodings(headers) }, observer);
  }
}

const observeAnswer = (
  options: MessagesOptions,
  labels: ClientHeaders,
  classification: RequestClassification | null,
): AnswerObserver => new AnswerObserver(options, labels, new ClassifiedRequest(options, labels, classification));

/** Buffers the complete request before deciding whether to serve it. */
function bufferAndDecide(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders): void {
  const { framing, head, out } = exchange;
  const expects = headerValue(head.headers, 'expect') !== undefined;
  // The client waits for `100 Continue` before it sends the body; the forwarded request then needs no `expect`.
  if (expects) out.write(formatResponseHead({ status: 100, reason: 'Continue', headers: [] }));
  const headers = withoutHeaders(requestHeaders(head.headers), (name) => hasName(name, 'expect'));
  const copy = new BodyCopy(options.budget, framing);
  exchange.onSettled(() => copy.release());
  /** The body as received, with its framing; null for a sized body, whose copy is the same bytes. */
  const rawChunks: Buffer[] | null = framing.kind === 'sized' ? null : [];
  let isForwarded = false;
  const forward = (classification: RequestClassification, early: readonly Buffer[], complete: boolean): void => {
    isForwarded = true;
    const observer = observeAnswer(options, labels, classification);
    relay(options, exchange, { headers: withReadableEncodings(headers), early, complete }, observer);
  };
  exchange.readBody({
    onPayload: (bytes) => void copy.add(bytes, 2),
    write(bytes) {
      if (rawChunks === null) copy.add(bytes);
      else rawChunks.push(bytes);
      if (!copy.hasOverflowed) return true;
      // The API itself refuses a body that is too large, and without memory nothing can be served. The relay continues
      // to read from here.
      if (!isForwarded) forward(classifyByHeaders(options, labels), rawChunks ?? [copy.toBuffer(), bytes], false);
      copy.release();
      return false;
    },
    end() {
      if (copy.hasOverflowed || isForwarded) return;
      // The previous answer may have ended while this request arrived.
      options.deferredWork.runFor(labels.session);
      const body = copy.toBuffer();
      const early = rawChunks ?? [body];
      decide(options, { exchange, labels, headers, copy, body }).then(
        (classification) => {
          if (classification !== null) forward(classification, early, true);
        },
        (error: unknown) => {
          options.log.error('compaction.failed', { message: messageOf(error) });
          forward(classifyByHeaders(options, labels), early, true);
        },
      );
    },
  });
}

/** Decides on a complete request. Null when it has been answered, or the client has disconnected. */
async function decide(options: MessagesOptions, request: CompleteRequest): Promise<RequestClassification | null> {
  const { exchange, labels } = request;
  const { compactions, conversations, turns } = options;
  const result = parseRequest(options, request);
  if (result === null) return classifyByHeaders(options, labels);
  const { compaction, parsed } = result;
  if (compaction === null) return { kind: 'turn', turn: turns.begin(parsed) };
  const abort = new AbortController();
  exchange.setListener({ onClientGone: () => abort.abort() });
  const outcome = await compactions.decide(parsed, compaction, abort.signal);
  exchange.setListener(null);
  if (abort.signal.aborted) return null;
  const { conversation } = outcome;
  switch (outcome.kind) {
    case 'abandoned':
      return null;
    case 'forward':
      return { kind: 'compaction', conversation };
    case 'serve': {
      const { body, headers } = outcome.answer;
      const added = [...phaseHeaders(conversations.actors.phase(conversation), conversation), ...SERVED];
      exchange.respond(200, 'OK', [...headers, ...added], body);
      return null;
    }
  }
}
