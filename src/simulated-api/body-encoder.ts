/** Compression of an answer's body, flushed after each piece so that a stream stays a stream. */
import { once } from 'node:events';
import {
  constants,
  createBrotliCompress,
  createDeflate,
  createGzip,
  type BrotliCompress,
  type Deflate,
  type Gzip,
} from 'node:zlib';
import { asError } from '../errors.ts';
import { type Encoding } from './behaviour.ts';

type Compressor = Gzip | Deflate | BrotliCompress;

const ENCODINGS: readonly Encoding[] = ['gzip', 'br', 'deflate'];

/** The encoding to use: `wanted`, or the first that `accept-encoding` names, if it is accepted at all. */
export function chooseEncoding(acceptEncoding: string, wanted?: Encoding): Encoding | undefined {
  const accepted = acceptEncoding.split(',').map((part) => part.split(';')[0]?.trim());
  const candidates = wanted === undefined ? accepted : [wanted];
  return ENCODINGS.find((encoding) => encoding === candidates.find((name) => accepted.includes(name) && known(name)));
}

/** A compressor whose output goes to `write` in order. */
export class BodyEncoder {
  readonly #stream: Compressor;
  readonly #flushMode: number;
  #written: Promise<void> = Promise.resolve();
  #failure: Error | undefined;

  constructor(encoding: Encoding, write: (bytes: Uint8Array) => Promise<void>) {
    this.#stream = create(encoding);
    this.#flushMode = encoding === 'br' ? constants.BROTLI_OPERATION_FLUSH : constants.Z_SYNC_FLUSH;
    this.#stream.on('data', (bytes: Buffer) => {
      this.#written = this.#written
        .then(() => write(bytes))
        .catch((error: unknown) => {
          this.#failure ??= asError(error);
        });
    });
  }

  /** Compresses a piece and sends all of it. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#stream.write(bytes);
    await new Promise<void>((resolve) => this.#stream.flush(this.#flushMode, resolve));
    await this.#settled();
  }

  async end(): Promise<void> {
    const ended = once(this.#stream, 'end');
    this.#stream.end();
    await ended;
    await this.#settled();
  }

  async #settled(): Promise<void> {
    await this.#written;
    if (this.#failure !== undefined) throw this.#failure;
  }
}

function create(encoding: Encoding): Compressor {
  if (encoding === 'br') return createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 4 } });
  return encoding === 'gzip' ? createGzip() : createDeflate();
}

function known(name: string | undefined): boolean {
  return ENCODINGS.some((encoding) => encoding === name);
}
