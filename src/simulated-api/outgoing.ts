/**
 * The connection an answer goes out on: bytes in pieces, compressed or not, pauses, and the ways to break off.
 * The only place that writes to a response.
 */
import { type IncomingMessage, type ServerResponse } from 'node:http';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { type Encoding, type ModifyingFault } from './behaviour.ts';
import { BodyEncoder, chooseEncoding } from './body-encoder.ts';

/** Time for the peer to read what was sent before a reset throws it away. */
const BEFORE_RESET_MS = 20;

/** Thrown to leave an answer early: the client went, or a fault has ended it. */
export class AnswerOver extends Error {}

/** How bytes are to leave. */
export interface Manner {
  readonly chunking?: Extract<ModifyingFault, { kind: 'chunking' }> | undefined;
  readonly compression?: Extract<ModifyingFault, { kind: 'compression' }> | undefined;
}

/** A response under way. Every method throws {@link AnswerOver} once the client has gone. */
export class Outgoing {
  /** Changed by faults, before the head. */
  manner: Manner = {};
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
    const { compression } = this.manner;
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

  /** Ends the answer properly; resolves when it has left. */
  async end(): Promise<void> {
    await this.#encoder?.end();
    await new Promise<void>((resolve) => {
      this.#response.once('close', resolve);
      this.#response.end(resolve);
    });
  }

  /** Waits, unless the client goes. */
  async pause(ms: number): Promise<void> {
    this.#assertThere();
    if (!(ms > 0)) return;
    try {
      await sleep(ms, undefined, { signal: this.#gone.signal });
    } catch (error) {
      throw new AnswerOver('gone', { cause: error });
    }
  }

  /** The outcome of `work`, unless the client goes before. */
  async unlessGone<Result>(work: Promise<Result>): Promise<Result> {
    this.#assertThere();
    const { signal } = this.#gone;
    let leave = (): void => undefined;
    const gone = new Promise<never>((_, reject) => {
      leave = () => reject(new AnswerOver('gone'));
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
    throw new AnswerOver('garbage');
  }

  /** Breaks the answer off: by RST, by closing, or by ending the body as if it were complete. */
  async breakOff(how: 'reset' | 'cut' | 'end'): Promise<never> {
    this.#broken = true;
    await nextTurn(); // what was written leaves before the connection does
    const { socket } = this.#response;
    if (how === 'end' && this.#response.headersSent) await this.end();
    else if (how === 'reset' && socket !== null && !('encrypted' in socket)) {
      await sleep(BEFORE_RESET_MS);
      socket.resetAndDestroy();
    } else socket?.destroy();
    throw new AnswerOver('disconnect');
  }

  /** Waits for the client to give up. */
  async silence(): Promise<never> {
    const { signal } = this.#gone;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    throw new AnswerOver('silence');
  }

  async #write(bytes: Uint8Array): Promise<void> {
    const { chunking } = this.manner;
    const size = Math.max(1, chunking?.bytes ?? bytes.length);
    for (let start = 0; start < bytes.length; start += size) {
      this.#assertThere();
      const flowing = this.#response.write(bytes.subarray(start, start + size));
      if (!flowing) await this.#drained();
      // A turn of the loop between the pieces, or they would leave as one.
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
    if (this.#gone.signal.aborted) throw new AnswerOver('gone');
  }
}
