/** HTTP/1.1 as bytes: what a socket brings, taken apart without hiding anything. For both ends of the proxy. */
import type { Socket } from 'node:net';

/** `[name, value, …]` in order and spelling. */
export type Pairs = readonly string[];

export interface Head {
  /** The first line. */
  readonly line: string;
  readonly headers: Pairs;
}

/** How a body is framed: so many bytes, chunks, none, or everything until the connection ends. */
export type Framing = number | 'chunked' | 'none' | 'close';

export interface Body {
  readonly bytes: Buffer;
  readonly trailers: Pairs;
  /** False: the connection went before the body's end. */
  readonly whole: boolean;
}

/** Values of a header, in order. */
export const valuesOf = (headers: Pairs, name: string): string[] =>
  headers.filter((_, at) => at % 2 === 1 && headers[at - 1]?.toLowerCase() === name);

/** The headers whose name begins with `prefix`. */
export function startingWith(headers: Pairs, prefix: string): string[] {
  return headers.filter((_, at) => headers[at - (at % 2)]?.toLowerCase().startsWith(prefix) === true);
}

/** Body framing by headers alone (RFC 9112, 6.3). */
export function framingOf(headers: Pairs, otherwise: Framing): Framing {
  if (valuesOf(headers, 'transfer-encoding').length > 0) return 'chunked';
  const [length] = valuesOf(headers, 'content-length');
  return length === undefined ? otherwise : Number(length);
}

function parseHead(text: string): Head {
  const [line = '', ...rest] = text.split('\r\n');
  const headers = rest.flatMap((field) => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon), field.slice(colon + 1).trim()];
  });
  return { line, headers };
}

/** Reads a socket at the reader's pace. */
export class ByteReader {
  readonly #socket: Socket;
  #bytes: Buffer = Buffer.alloc(0);
  #over = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.#over = true;
        this.#wake();
      });
    }
  }

  /** What has come and was not taken. */
  get pending(): Buffer {
    return this.#bytes;
  }

  /** The connection has ended, from there or from here. */
  get over(): boolean {
    return this.#over || this.#socket.destroyed;
  }

  /** The head of a message; null when the connection ends before it. */
  async head(): Promise<Head | null> {
    const end = await this.#when(() => {
      const at = this.#bytes.indexOf('\r\n\r\n');
      return at < 0 ? undefined : at;
    });
    if (end === undefined) return null;
    const text = this.#take(end).toString('latin1');
    this.#take(4);
    return parseHead(text);
  }

  async body(framing: Framing): Promise<Body> {
    if (framing === 'none') return { bytes: Buffer.alloc(0), trailers: [], whole: true };
    if (framing === 'chunked') return this.#chunks();
    if (framing === 'close') {
      await this.#when(() => undefined);
      return { bytes: this.#take(this.#bytes.length), trailers: [], whole: true };
    }
    const bytes = await this.exactly(framing);
    return { bytes, trailers: [], whole: bytes.length === framing };
  }

  /** So many bytes, or fewer when the connection ends. */
  async exactly(count: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      await this.#when(() => (this.#bytes.length > 0 ? true : undefined));
      if (this.#bytes.length === 0) break;
      const part = this.#take(Math.min(missing, this.#bytes.length));
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts);
  }

  async #chunks(): Promise<Body> {
    const parts: Buffer[] = [];
    const broken = (): Body => ({ bytes: Buffer.concat(parts), trailers: [], whole: false });
    for (;;) {
      const size = /^[0-9a-f]+/i.exec((await this.#line()) ?? '')?.[0];
      if (size === undefined) return broken();
      const expected = Number.parseInt(size, 16);
      if (expected === 0) break;
      const part = await this.exactly(expected);
      parts.push(part);
      if (part.length < expected || (await this.#line()) !== '') return broken();
    }
    const fields: string[] = [];
    for (;;) {
      const line = await this.#line();
      if (line === null || line === '') break;
      fields.push(line);
    }
    const { headers: trailers } = parseHead(['', ...fields].join('\r\n'));
    return { bytes: Buffer.concat(parts), trailers, whole: true };
  }

  async #line(): Promise<string | null> {
    const end = await this.#when(() => {
      const at = this.#bytes.indexOf('\r\n');
      return at < 0 ? undefined : at;
    });
    if (end === undefined) return null;
    const line = this.#take(end).toString('latin1');
    this.#take(2);
    return line;
  }

  #take(count: number): Buffer {
    const taken = this.#bytes.subarray(0, count);
    this.#bytes = this.#bytes.subarray(count);
    return taken;
  }

  /** Resolves with what `look` finds, now or after more bytes; undefined once the connection is over. */
  async #when<Found>(look: () => Found | undefined): Promise<Found | undefined> {
    for (;;) {
      const found = look();
      if (found !== undefined || this.over) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
