/** An HTTP/1.1 answer out of bytes that were noted: as far as it came. */
import { framingOf, type Pairs } from '../src/forwarder/http-bytes.ts';

export interface NotedAnswer {
  readonly status: number;
  readonly headers: Pairs;
  /** Without framing. */
  readonly body: Buffer;
  /** Everything that the head announced has come. */
  readonly whole: boolean;
}

interface Dechunked {
  readonly body: Buffer;
  readonly whole: boolean;
}

function dechunk(bytes: Buffer): Dechunked {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf('\r\n', at);
    const size = end < 0 ? NaN : Number.parseInt(bytes.toString('latin1', at, end), 16);
    if (Number.isNaN(size)) return { body: Buffer.concat(parts), whole: false };
    if (size === 0) return { body: Buffer.concat(parts), whole: bytes.indexOf('\r\n', end + 2) >= 0 };
    const part = bytes.subarray(end + 2, end + 2 + size);
    parts.push(part);
    at = end + 2 + size + 2;
    if (at > bytes.length) return { body: Buffer.concat(parts), whole: false };
  }
}

/**
 * Reads the final answer in `bytes`, interim ones passed over.
 *
 * @param fin the connection was ended in order, which is the end of a body without framing
 * @returns null where no head of one has come whole, or it is no HTTP
 */
export function readAnswer(bytes: Buffer, fin: boolean): NotedAnswer | null {
  let rest = bytes;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const [line = '', ...fields] = rest.toString('latin1', 0, end).split('\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(line)?.[1]);
    if (Number.isNaN(status)) return null;
    rest = rest.subarray(end + 4);
    if (status < 200) continue;
    const headers = fields.flatMap((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon), field.slice(colon + 1).trim()];
    });
    const framing = framingOf(headers, 'close');
    if (framing === 'chunked') return { status, headers, ...dechunk(rest) };
    if (framing === 'close' || framing === 'none') return { status, headers, body: rest, whole: fin };
    return { status, headers, body: rest.subarray(0, framing), whole: rest.length >= framing };
  }
}
