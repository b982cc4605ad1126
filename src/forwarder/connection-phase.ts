/**
 * The phases of a client's connection. The request and its answer overlap: an answer may end before its request.
 *
 *   head ──▶ receiving ──▶ answering ──▶ head | closing
 *    │           └───────────────────▶ lingering (the answer ended first)
 *    └──▶ handed-off, lingering (refused), closing (idle)           answering, receiving ──▶ upgraded
 */
import type { BodyReader } from '../http1/framing.ts';
import type { BodySink, Exchange } from './exchange.ts';

export type ConnectionPhase =
  /** Waiting for a request, or for the rest of its head. */
  | { readonly kind: 'head' }
  | Receiving
  /** The request is complete, its answer is not. */
  | { readonly kind: 'answering'; readonly exchange: Exchange }
  /** The answer is complete, the request is not: its rest is dropped, so that the client receives the answer. */
  | { readonly kind: 'lingering' }
  /** Closes as soon as all answers are sent. */
  | { readonly kind: 'closing' }
  /** The socket belongs to the proxy's own pages. */
  | { readonly kind: 'handed-off' }
  /** The socket carries another protocol. */
  | { readonly kind: 'upgraded' };

/** A request's body is arriving; its answer may have begun. */
export interface Receiving {
  readonly kind: 'receiving';
  readonly exchange: Exchange;
  readonly body: BodyReader;
  /** Null until the body is read. */
  sink: BodySink | null;
}
