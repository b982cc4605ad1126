/** Records requests and their outcome, and notifies those who wait for one. */
import { type IncomingHttpHeaders } from 'node:http';
import { isObject, parseJson } from '../wire/json.ts';
import { type MessagesRequest, type Usage } from './wire-types.ts';

/** Which route a request took. */
export type RequestKind = 'messages' | 'count_tokens' | 'models' | 'other';

/** How a request ended: `aborted` is by the client, `broken` by a fault, `closed` by the end of the simulation. */
export type Outcome = 'open' | 'answered' | 'aborted' | 'broken' | 'closed';

/** A recorded request. Fields about its answer are set while the answer is sent. */
export interface RecordedRequest {
  /** Order of arrival, from 1. */
  readonly number: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** As sent, with the query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly kind: RequestKind;
  /** Empty where bodies are not recorded. */
  readonly body: Buffer;
  /** The body as JSON; `undefined` for what is none. */
  readonly json: unknown;
  /** The body as a request for a message, where it has that shape. */
  readonly message: MessagesRequest | undefined;
  /** Whether it asks for a summary of the conversation. */
  readonly isSummary: boolean;
  /** Times by the simulation's clock. */
  readonly receivedAt: number;
  /** When the head of the answer went out. */
  readonly answeredAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly requestId: string;
  readonly status: number | undefined;
  readonly usage: Usage | undefined;
  /** Kinds of the faults that were applied. */
  readonly faults: readonly string[];
  readonly outcome: Outcome;
  /** The client disconnected before the answer was complete. */
  readonly aborted: boolean;
}

/** What is known of a request when its head is in. */
export type RequestHead = Pick<
  RecordedRequest,
  'number' | 'method' | 'path' | 'url' | 'headers' | 'rawHeaders' | 'kind' | 'receivedAt' | 'requestId'
>;

/** The writable side of a {@link RecordedRequest}. */
export class RequestRecord implements RecordedRequest {
  readonly number: number;
  readonly method: string;
  readonly path: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly kind: RequestKind;
  readonly receivedAt: number;
  readonly requestId: string;
  answeredAt: number | undefined;
  endedAt: number | undefined;
  status: number | undefined;
  usage: Usage | undefined;
  faults: readonly string[] = [];
  outcome: Outcome = 'open';
  #body: Buffer = Buffer.alloc(0);
  #json: { readonly value: unknown } | undefined;
  #isSummary: boolean | undefined;
  readonly #isSummaryRequest: (request: MessagesRequest) => boolean;

  constructor(head: RequestHead, isSummaryRequest: (request: MessagesRequest) => boolean) {
    this.number = head.number;
    this.method = head.method;
    this.path = head.path;
    this.url = head.url;
    this.headers = head.headers;
    this.rawHeaders = head.rawHeaders;
    this.kind = head.kind;
    this.receivedAt = head.receivedAt;
    this.requestId = head.requestId;
    this.#isSummaryRequest = isSummaryRequest;
  }

  get body(): Buffer {
    return this.#body;
  }

  set body(body: Buffer) {
    this.#body = body;
    this.#json = undefined;
  }

  get json(): unknown {
    this.#json ??= { value: parseJson(this.#body.toString('utf8')) };
    return this.#json.value;
  }

  get message(): MessagesRequest | undefined {
    const { json } = this;
    return this.kind !== 'other' && looksLikeMessages(json) ? json : undefined;
  }

  get isSummary(): boolean {
    if (this.kind !== 'messages') return false;
    this.#isSummary ??= this.message !== undefined && this.#isSummaryRequest(this.message);
    return this.#isSummary;
  }

  get aborted(): boolean {
    return this.outcome === 'aborted';
  }

  /** Drops the body; what was parsed from it stays. */
  dropBody(): void {
    this.#isSummary = this.isSummary;
    this.body = Buffer.alloc(0);
  }
}

/** What is kept: everything, heads without bodies, or the last requests with their bodies. */
export type Recording = 'all' | 'heads' | number;

/** Even heads alone are bounded. */
const MAX_HEADS = 10_000;

interface Waiter {
  readonly predicate: (request: RecordedRequest) => boolean;
  readonly resolve: (request: RecordedRequest) => void;
  readonly reject: (error: Error) => void;
}

export class Recorder {
  readonly #recording: Recording;
  readonly #waiters = new Set<Waiter>();
  #requests: RequestRecord[] = [];

  constructor(recording: Recording) {
    this.#recording = recording;
  }

  get requests(): readonly RecordedRequest[] {
    return this.#requests;
  }

  /** A request has come in whole, or as far as it came. */
  add(request: RequestRecord): void {
    this.#requests.push(request);
    const limit = this.#limit();
    if (this.#requests.length > limit) this.#requests.splice(0, this.#requests.length - limit);
    this.#tell(request);
  }

  /** Something about a request has changed for good. */
  update(request: RequestRecord): void {
    this.#tell(request);
    if (request.outcome !== 'open' && this.#recording === 'heads') request.dropBody();
  }

  clear(): void {
    this.#requests = [];
  }

  /** The first recorded request, past or future, for which `predicate` holds; tried again when its answer ends. */
  waitFor(predicate: (request: RecordedRequest) => boolean, timeoutMs: number): Promise<RecordedRequest> {
    const known = this.#requests.find(predicate);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter = {
        predicate,
        resolve: (request) => {
          done();
          resolve(request);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      const timer = setTimeout(() => {
        const seen = this.#requests.map(({ method, path, outcome }) => `${method} ${path} ${outcome}`).join(', ');
        waiter.reject(new Error(`No such request within ${timeoutMs} ms; seen: ${seen || 'none'}`));
      }, timeoutMs);
      this.#waiters.add(waiter);
    });
  }

  /** Rejects everyone who waits: no more requests come. */
  close(): void {
    for (const waiter of this.#waiters) waiter.reject(new Error('The simulated API was closed'));
  }

  #limit(): number {
    if (this.#recording === 'all') return Infinity;
    return this.#recording === 'heads' ? MAX_HEADS : this.#recording;
  }

  #tell(request: RequestRecord): void {
    for (const waiter of this.#waiters) if (waiter.predicate(request)) waiter.resolve(request);
  }
}

function looksLikeMessages(json: unknown): json is MessagesRequest {
  return isObject(json) && Array.isArray(json['messages']) && json['messages'].every(isObject);
}
