/**
 * `POST /v1/messages`: every request goes to the API as it came and is followed on the side, but for one kind. A
 * compaction that may be answered here is read whole first, and then either answered or sent on, byte for byte.
 */
import { messageOf } from '../errors.ts';
import { formatResponseHead } from '../http1/head.ts';
import { headerValue, isNamed, withoutHeaders } from '../wire/headers.ts';
import { requestLabels, type ClientHeaders } from '../wire/identity.ts';
import { withReadableEncodings } from './answer-tap.ts';
import { BodyCopy } from './body-copy.ts';
import type { Exchange } from './exchange.ts';
import { TurnObserver, StreamedTurnObserver } from './exchange-observer.ts';
import {
  phaseHeaders,
  parseRequest,
  classifyByHeaders,
  type MessagesOptions,
  type RequestClassification,
  type WholeRequest,
} from './request-classifier.ts';
import { relay } from './relay.ts';
import { requestHeaders } from './request-head.ts';

/** How a compaction served here is marked. */
const SERVED = ['x-double-buffer-served', 'checkpoint'];

/** Handles one `POST /v1/messages`. */
export function handleMessages(options: MessagesOptions, exchange: Exchange): void {
  const labels = requestLabels(exchange.head.headers);
  const worthHolding = labels.class === 'compaction' || labels.class === 'unknown';
  // What may be served depends on what the answer before has told.
  if (worthHolding) options.afterwards.finish(labels.session);
  if (worthHolding && options.conversations.canServe) hold(options, exchange, labels);
  else stream(options, exchange, labels);
  // Its bytes go first.
  options.afterwards.add(null, () => options.observe?.({ type: 'request.received' }));
}

/** The request goes on while it comes in; what it means is read when it is complete. */
function stream(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders): void {
  const headers = requestHeaders(exchange.head.headers);
  if (labels.class === 'auxiliary') relay(options, exchange, { headers }, new TurnObserver(options, labels, null));
  else {
    const observer = new StreamedTurnObserver(options, exchange, labels, headers);
    relay(options, exchange, { headers: withReadableEncodings(headers) }, observer);
  }
}

/** The request is read whole before anything is decided. */
function hold(options: MessagesOptions, exchange: Exchange, labels: ClientHeaders): void {
  const { head, out } = exchange;
  const expects = headerValue(head.headers, 'expect') !== undefined;
  // Who waits for a go-ahead would wait for ever; it is given here, and so not asked for again.
  if (expects) out.write(formatResponseHead({ status: 100, reason: 'Continue', headers: [] }));
  const headers = withoutHeaders(requestHeaders(head.headers), (name) => isNamed(name, 'expect'));
  const copy = new BodyCopy(options.budget, exchange.framing);
  exchange.onSettled(() => copy.release());
  /** What is sent on later: as it came where that is not the copy itself. */
  const framed: Buffer[] | null = exchange.framing.kind === 'sized' ? null : [];
  let decided = false;
  const sendOn = (reading: RequestClassification, early: readonly Buffer[], complete: boolean): void => {
    decided = true;
    const readable = withReadableEncodings(headers);
    relay(options, exchange, { headers: readable, early, complete }, new TurnObserver(options, labels, reading));
  };
  exchange.readBody({
    framed(bytes) {
      framed?.push(bytes);
      if (!copy.overflowed) return true;
      // Too large for the API: let it say so itself. Or there is no room to hold it: nothing is served then. The relay
      // goes on reading where this stops.
      if (!decided) sendOn(classifyByHeaders(options, labels), framed ?? [copy.toBuffer(), bytes], false);
      copy.release();
      return false;
    },
    payload: (bytes) => void copy.add(bytes, framed === null ? 1 : 2),
    end() {
      if (copy.overflowed || decided) return;
      // The answer before may have ended while this came in.
      options.afterwards.finish(labels.session);
      const body = copy.toBuffer();
      const early = framed ?? [body];
      decide(options, { exchange, labels, headers, copy, body }).then(
        (reading) => {
          if (reading !== null) sendOn(reading, early, true);
        },
        (error: unknown) => {
          options.log.error('compaction.failed', { message: messageOf(error) });
          sendOn(classifyByHeaders(options, labels), early, true);
        },
      );
    },
  });
}

/** Decides on a request that was read whole; null when it has been answered (or nobody waits for an answer any more). */
async function decide(options: MessagesOptions, whole: WholeRequest): Promise<RequestClassification | null> {
  const { exchange, labels } = whole;
  const { compactions, conversations } = options;
  const found = parseRequest(options, whole);
  if (found === null) return classifyByHeaders(options, labels);
  if (found.compaction === null) return { kind: 'turn', turn: conversations.beginTurn(found.seen) };
  const gone = new AbortController();
  exchange.setListener({ onClientGone: () => gone.abort() });
  const outcome = await compactions.decide(found.seen, found.compaction, gone.signal);
  exchange.setListener(null);
  if (gone.signal.aborted) return null;
  const { conversation } = outcome;
  switch (outcome.kind) {
    case 'abandoned':
      return null;
    case 'forward':
      return { kind: 'compaction', conversation };
    case 'serve': {
      const marks = [...phaseHeaders(conversations.phase(conversation), conversation), ...SERVED];
      exchange.respond(200, 'OK', [...outcome.answer.headers, ...marks], outcome.answer.body);
      return null;
    }
  }
}
