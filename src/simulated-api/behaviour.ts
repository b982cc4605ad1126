/**
 * The behaviour of the simulated API: descriptions of answers and of faults.
 * Plain data, which can also be sent over HTTP.
 */
import type { JsonObject } from '../wire/json.ts';
import { type Usage } from './wire-types.ts';

/** One content block of an answer. Missing ids and signatures are generated. */
export type AnswerBlock =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'thinking'; readonly thinking: string; readonly signature?: string }
  | { readonly type: 'tool_use'; readonly name: string; readonly input: JsonObject; readonly id?: string };

/** Bytes to send as they are: strings and buffers are written, a number is a pause in milliseconds. */
export interface RawAnswer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly chunks: readonly (string | Uint8Array | number)[];
  /** How it ends: properly, cut off, or never. */
  readonly ending?: 'end' | 'cut' | 'silence';
}

/** How fast an answer comes. Both default to "at once". */
export interface Speed {
  readonly firstByteMs?: number;
  readonly tokensPerSecond?: number;
}

/** The description of an answer. Missing parts are filled in as the API would. */
export interface Answer extends Speed {
  /** The content; by default a short text, or a summary where one is asked for. `[]` is an empty answer. */
  readonly blocks?: readonly AnswerBlock[];
  /** Prompt tokens to report, split into cache reads, cache creation and input by the cache's rules. */
  readonly promptTokens?: number;
  /** Single counts to report instead of the computed ones. */
  readonly usage?: Partial<Usage>;
  readonly stopReason?: string;
  /** Added to the response's headers. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A fault of this answer only. */
  readonly fault?: Fault;
  /** Replaces everything above. */
  readonly raw?: RawAnswer;
}

/** Where in an answer something stops. `mid_stream` is before the event number `afterEvents` (default 3). */
export type BreakPoint = 'before_head' | 'after_head' | 'mid_stream';

/** A fault that replaces or ends an answer. An answer has at most one of these. */
export type BreakingFault =
  /** An error status; `retryAfter` in seconds; `body` replaces the usual JSON. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly type?: string;
      readonly message?: string;
      readonly retryAfter?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** The 400 for a prompt larger than the window. */
  | { readonly kind: 'prompt_too_long'; readonly tokens?: number; readonly maximum?: number }
  /** An `error` event in a stream that began with 200. */
  | { readonly kind: 'error_event'; readonly afterEvents?: number; readonly type?: string; readonly message?: string }
  /** The connection ends, by RST, FIN or a proper early end; `upload`: while the request is being sent. */
  | {
      readonly kind: 'disconnect';
      readonly at: BreakPoint | 'upload';
      readonly afterEvents?: number;
      /** Half of the next event is still sent. */
      readonly partial?: boolean;
      readonly how?: 'reset' | 'cut' | 'end';
    }
  /** Nothing more is sent; the connection stays open. */
  | { readonly kind: 'silence'; readonly at: BreakPoint; readonly afterEvents?: number; readonly partial?: boolean }
  /** Bytes that are no HTTP. */
  | { readonly kind: 'garbage_http'; readonly bytes?: string }
  /** Bytes that are no server-sent events, in the middle of a stream that otherwise goes on. */
  | { readonly kind: 'garbage_sse'; readonly afterEvents?: number; readonly text?: string }
  /** A message without content. */
  | { readonly kind: 'empty_answer' }
  /** A tool call in any answer. */
  | { readonly kind: 'tool_call'; readonly name?: string }
  /** A scripted answer: for scripts from another process. */
  | { readonly kind: 'answer'; readonly answer: Omit<Answer, 'fault'> };

/** A fault that changes how an answer is delivered; these combine with each other and with a breaking one. */
export type ModifyingFault =
  | { readonly kind: 'slow'; readonly firstByteMs?: number; readonly tokensPerSecond?: number }
  /** Unknown events, comments and pings between the real ones. */
  | { readonly kind: 'noise' }
  /** The body in pieces of `bytes`, each written by itself. */
  | { readonly kind: 'chunking'; readonly bytes: number; readonly delayMs?: number }
  /** A compressed body, where the request accepts it; without `encoding`, the first that it accepts. */
  | { readonly kind: 'compression'; readonly encoding?: Encoding };

/** Encodings that the simulated API can produce. */
export type Encoding = 'gzip' | 'br' | 'deflate';

export type Fault = BreakingFault | ModifyingFault;
