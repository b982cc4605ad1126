/**
 * Writes a response: in chunks, compressed or not, with pauses, and with the ways to break it off.
 * Nothing else writes to a response.
 */
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Encoding, type ModifyingFault } from './behaviour.ts';
import { BodyEncoder, chooseEncoding } from './body-encoder.ts';

/** Time for the peer to read what was sent before a reset throws it away. */
const BEFORE_RESET_MS = 20;

/** Thrown to end an answer early: the client disconnected, or a fault ended it. */
export class AnswerAborted extends Error {}

export interface DeliveryMode {
  readonly chunking?: Extract<ModifyingFault, { kind: 'chunking' }> | undefined;
  readonly compression?: Extract<ModifyingFault, { kind: 'compression' }> | undefined;
}

/** A response that is being sent. Every method throws {@link AnswerAborted} after the client has disconnected. */
export class OutgoingResponse {
  /** Set by faults, before the head is sent. */
  mode: DeliveryMode = {};
  readonly #response: ServerResponse;
  readonly #acceptEncoding: string;
  readonly #gone = new AbortController();
  readonly #onHead: () => void;
  #encoder: BodyEncoder | undefined;
  #broken = false;

  /** `onHead` is called when a head goes out. */
  constructor(request: IncomingMessage, response: ServerResponse, onHead: () => void) {
    this.#response = response;
    this.#onHead = onHead;
    this.#acceptEncoding = request.headers['accept-encoding']?.toString() ?? '';
    response.on('error', () => undefined);
    response.on('close', () => this.#gone.abort());
  }

  /** Whether the answer was broken off on purpose. */
  get broken(): boolean {
    return this.#broken;
  }

  /** The encoding that the body will have, if any. */
  get encoding(): Encoding | undefined {
    const { compression } = this.mode;
    return compression === undefined ? undefined : chooseEncoding(this.#acceptEncoding, compression.encoding);
  }

  head(status: number, headers: Readonly<Record<string, string>>): void {
    this.#assertThere();
    const { encoding } = this;
    if (encoding !== undefined) {
      this.#response.setHeader('content-encoding', encoding);
      this.#encoder = new BodyEncoder(encoding, (bytes) => this.#write(bytes));
    }
    this.#response.writeHead(status, headers);
    this.#onHead();
  }

  /** Sends the head now, without waiting for a body. */
  flushHead(): void {
    this.#response.flushHeaders();
  }

  async send(bytes: Uint8Array): Promise<void> {
    if (this.#encoder === undefined) await this.#write(bytes);
    else await this.#encoder.write(bytes);
  }

  /** Ends the answer properly; resolves when it was sent. */
  async end(): Promise<void> {
    await this.#encoder?.end();
    await new Promise<void>((resolve) => {
      this.#response.once('close', resolve);
      this.#response.end(resolve);
    });
  }

  /** Waits; throws when the client disconnects. */
  async pause(ms: number): Promise<void> {
    this.#assertThere();
    if (!(ms > 0)) return;
    try {
      await sleep(ms, undefined, { signal: this.#gone.signal });
    } catch (error) {
      throw new AnswerAborted('gone', { cause: error });
    }
  }

  /** Awaits `work`; throws when the client disconnects before. */
  async raceWithAbort<Result>(work: Promise<Result>): Promise<Result> {
    this.#assertThere();
    const { signal } = this.#gone;
    let leave = (): void => undefined;
    const gone = new Promise<never>((_, reject) => {
      leave = () => reject(new AnswerAborted('gone'));
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      return await Promise.race([work, gone]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Sends bytes in place of an HTTP answer and hangs up. */
  garbage(bytes: string): never {
    this.#broken = true;
    this.#response.socket?.end(bytes, 'latin1');
    throw new AnswerAborted('garbage');
  }

  /** Breaks the answer off: by RST, by closing, or by ending the body as if it were complete. */
  async breakOff(how: 'reset' | 'cut' | 'end'): Promise<never> {
    this.#broken = true;
    await nextTurn(); // written bytes are sent before the connection ends
    const { socket } = this.#response;
    if (how === 'end' && this.#response.headersSent) await this.end();
    else if (how === 'reset' && socket !== null && !('encrypted' in socket)) {
      await sleep(BEFORE_RESET_MS);
      socket.resetAndDestroy();
    } else socket?.destroy();
    throw new AnswerAborted('disconnect');
  }

  /** Waits until the client disconnects. */
  async silence(): Promise<never> {
    const { signal } = this.#gone;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw new AnswerAborted('silence');
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { chunking } = this.mode;
    const size = Math.max(1, chunking?.bytes ?? bytes.length);
    for (let start = 0; start < bytes.length; start += size) {
      this.#assertThere();
      const flowing = this.#response.write(bytes.subarray(start, start + size));
      if (!flowing) await this.#drained();
      // One round of the event loop between the chunks; they would be sent as one otherwise.
      if (chunking !== undefined) await nextTurn();
      if (chunking?.delayMs !== undefined) await this.pause(chunking.delayMs);
    }
  }

  async #drained(): Promise<void> {
    const response = this.#response;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        response.off('drain', go);
        response.off('close', go);
        resolve();
      };
      response.on('drain', go);
      response.on('close', go);
    });
  }

  #assertThere(): void {
    if (this.#gone.signal.aborted) throw new AnswerAborted('gone');
  }
}
