/** Generated HTTP/1.1 exchanges, as bytes: everything a client and an API may send each other that is well-formed. */
import fc from 'fast-check';
import { gzipSync } from 'node:zlib';

/** Name and value of a header, with the white space that stands around the value on the wire. */
export interface Field {
  readonly name: string;
  readonly before: string;
  readonly value: string;
  readonly after: string;
}

export type BodyKind = 'none' | 'sized' | 'chunked' | 'close';

/** A body as it stands on the wire, and what it says. */
export interface WireBody {
  readonly kind: BodyKind;
  /** Framing included. */
  readonly raw: Buffer;
  /** Framing left out. */
  readonly payload: Buffer;
}

export interface Interim {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}

export interface GeneratedExchange {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
  readonly body: WireBody;
  readonly interim: readonly Interim[];
  readonly status: number;
  /** Null: not even the blank before it. */
  readonly reason: string | null;
  readonly answerFields: readonly Field[];
  readonly answer: WireBody;
  /** The answer's own length, where it has one without a body: HEAD, 304. */
  readonly claims: 'nothing' | 'length' | 'chunks';
  /** The upstream ends the connection with this answer. */
  readonly upstreamCloses: boolean;
}

/** Where bytes are cut and which pieces wait for the event loop's next round. */
export interface Pacing {
  readonly cuts: readonly number[];
  readonly waits: readonly boolean[];
}

const TCHAR = Array.from("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
const chars = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => String.fromCharCode(from + at));
const VISIBLE = [...chars(0x21, 0x7e), ...chars(0x80, 0xff)];

const text = (alphabet: readonly string[], minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength, maxLength });

/** Names that mean something to the hop, to framing, or to the rig. */
const RESERVED =
  /^(host|content-length|transfer-encoding|connection|upgrade|expect|te|trailer|keep-alive|proxy-.*|x-exchange|x-double-buffer-.*|accept-encoding|content-encoding|x-claude-code-.*|x-hop-.*)$/i;
const name = fc.oneof(
  text(TCHAR, 1, 24).filter((candidate) => !RESERVED.test(candidate)),
  fc.constantFrom('X-Repeated', 'x-repeated', 'Set-Cookie', 'set-cookie', 'request-id', 'ETag', 'Date', 'Accept'),
);
const inner = text([...VISIBLE, ' ', '\t', ',', '"', ';', ':'], 0, 40).map((value) =>
  value.replace(/^[ \t]+|[ \t]+$/g, ''),
);
const blank = fc.constantFrom('', ' ', ' ', ' ', '\t', ' \t ');
const field = fc.record({ name, before: blank, value: inner, after: blank });
const plain = (header: string, value: string): Field => ({ name: header, before: ' ', value, after: '' });

/** Hop-by-hop headers, which this hop may (and must) change. */
const hops = fc.oneof(
  { weight: 5, arbitrary: fc.constant<Field[]>([]) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Field[]>(
      [plain('Connection', 'keep-alive')],
      [plain('connection', 'x-hop-a, Keep-Alive'), plain('X-Hop-A', 'gone'), plain('Keep-Alive', 'timeout=5')],
      [plain('X-Hop-B', 'gone'), plain('Connection', 'X-Hop-B'), plain('x-hop-b', 'gone too')],
      [plain('TE', 'trailers'), plain('Proxy-Connection', 'keep-alive')],
    ),
  },
);

const fields = fc
  .tuple(fc.array(field, { maxLength: 8 }), hops, fc.nat(8))
  .map(([own, hop, at]) => [...own.slice(0, at), ...hop, ...own.slice(at)]);

/** Bytes that look random and cost nothing to make or to shrink. */
function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = seed | 1;
  for (let at = 0; at < size; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state & 0xff;
  }
  return bytes;
}

const size = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom(0, 1, 2) },
  { weight: 12, arbitrary: fc.nat(600) },
  { weight: 3, arbitrary: fc.nat(9_000) },
  { weight: 1, arbitrary: fc.integer({ min: 9_000, max: 150_000 }) },
);
const SSE = Buffer.from('event: ping\ndata: {"type":"ping"}\n\n'.repeat(7));
/** HTTP inside HTTP: nobody may take a body for the next message. */
const DECOY = Buffer.from('0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nno!GET / HTTP/1.1\r\nHost: x\r\n\r\n');
const MESSAGE = Buffer.from(
  JSON.stringify({
    model: 'claude-sonnet-4-6',
    messages: [{ role: 'user', content: 'Hi' }],
    max_tokens: 9,
    stream: true,
  }),
);
const payload = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(size, fc.integer()).map(([bytes, seed]) => noise(bytes, seed)) },
  { weight: 1, arbitrary: fc.constantFrom(SSE, gzipSync(SSE), DECOY, MESSAGE, gzipSync(MESSAGE)) },
);

interface ChunkStyle {
  readonly sizes: readonly number[];
  readonly extension: string;
  readonly upper: boolean;
  readonly zeros: number;
  readonly trailers: readonly Field[];
}
const chunkStyle: fc.Arbitrary<ChunkStyle> = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 6 }),
  extension: fc.constantFrom('', '', '', ';a', ';name=value', ';a="b c\\"; d"', ' ;x=1;y=2', '\t'),
  upper: fc.boolean(),
  zeros: fc.nat(3),
  trailers: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, fc.array(field, { maxLength: 3 })),
});

const lineOf = ({ after, before, name: header, value }: Field): string => `${header}:${before}${value}${after}\r\n`;

/** The payload in chunks of the given sizes, all that is left in the last. */
function chunked(bytes: Buffer, style: ChunkStyle): Buffer {
  const parts: Buffer[] = [];
  const push = (line: string): void => void parts.push(Buffer.from(`${line}\r\n`, 'latin1'));
  let at = 0;
  for (const length of [...style.sizes, bytes.length]) {
    const piece = bytes.subarray(at, at + length);
    if (piece.length === 0) break;
    const hex = '0'.repeat(style.zeros) + piece.length.toString(16);
    push((style.upper ? hex.toUpperCase() : hex) + style.extension);
    parts.push(piece, Buffer.from('\r\n'));
    at += piece.length;
  }
  push('0'.repeat(style.zeros + 1) + style.extension);
  for (const trailer of style.trailers) parts.push(Buffer.from(lineOf(trailer), 'latin1'));
  push('');
  return Buffer.concat(parts);
}

const body = (kinds: readonly BodyKind[]): fc.Arbitrary<WireBody> =>
  fc.tuple(fc.constantFrom(...kinds), payload, chunkStyle).map(([kind, bytes, style]) => {
    if (kind === 'none') return { kind, raw: Buffer.alloc(0), payload: Buffer.alloc(0) };
    return { kind, payload: bytes, raw: kind === 'chunked' ? chunked(bytes, style) : bytes };
  });

const method = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('POST') },
  { weight: 5, arbitrary: fc.constantFrom('GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'M-SEARCH') },
  { weight: 1, arbitrary: text(TCHAR, 1, 10).filter((word) => word !== 'CONNECT') },
);
const target = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('/v1/messages', '/v1/messages?beta=true', '/v1/messages/') },
  {
    weight: 2,
    arbitrary: fc.constantFrom('/v1/messages/count_tokens', '/v1/messagesx', '/api/hello?a=%2F&a', '/', '*'),
  },
  { weight: 2, arbitrary: text(VISIBLE, 0, 60).map((rest) => `/api/${rest}`) },
);
const classes = fc.constantFrom('main', 'main', 'auxiliary', 'compaction', null);
const accepts = fc.constantFrom(
  null,
  'gzip, deflate, br, zstd',
  'zstd',
  'zstd;q=1.0, gzip;q=0.5',
  'gzip,zstd,br',
  'gzip, br',
  'x-zstd-like',
);

const interim: fc.Arbitrary<Interim> = fc.record({
  status: fc.constantFrom(100, 102, 103, 199),
  reason: fc.constantFrom('Continue', '', 'Early Hints'),
  fields: fc.array(field, { maxLength: 3 }),
});
const status = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(200) },
  { weight: 2, arbitrary: fc.constantFrom(204, 304) },
  { weight: 3, arbitrary: fc.constantFrom(201, 301, 400, 401, 404, 413, 429, 500, 529, 599, 999) },
);
const reason = fc.oneof(fc.constantFrom('OK', '', 'Too Many  Requests', null), text([...VISIBLE, ' ', '\t'], 0, 30));
const answerTypes = fc.constantFrom<Field[]>(
  [],
  [],
  [plain('content-type', 'text/event-stream; charset=utf-8')],
  [plain('Content-Type', 'application/json'), plain('content-encoding', 'gzip')],
  [plain('content-type', 'text/event-stream'), plain('Content-Encoding', 'br')],
  [plain('content-encoding', 'zstd')],
);

/** One exchange. */
export const exchange: fc.Arbitrary<GeneratedExchange> = fc
  .record({
    method,
    target,
    fields,
    requestClass: classes,
    accepts,
    expects: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
    body: body(['none', 'sized', 'sized', 'chunked']),
    interim: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.array(interim, { maxLength: 2 })),
    status,
    reason,
    answerFields: fields,
    answerTypes,
    answer: body(['sized', 'sized', 'chunked', 'chunked', 'close']),
    claims: fc.constantFrom('nothing' as const, 'length' as const, 'chunks' as const),
    ends: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
  })
  .map(({ accepts: coding, answerTypes: types, ends, expects, requestClass, ...rest }) => {
    const labels = [
      ...(requestClass === null ? [] : [plain('x-claude-code-request-class', requestClass)]),
      ...(coding === null ? [] : [plain('Accept-Encoding', coding)]),
      ...(expects ? [plain('Expect', '100-continue')] : []),
    ];
    const bodiless = rest.method === 'HEAD' || rest.status === 204 || rest.status === 304;
    const answer = bodiless ? { kind: 'none' as const, raw: Buffer.alloc(0), payload: Buffer.alloc(0) } : rest.answer;
    return {
      ...rest,
      fields: [...labels, ...rest.fields],
      answerFields: [...types, ...rest.answerFields],
      answer,
      upstreamCloses: ends || answer.kind === 'close',
    };
  });

export const pacing: fc.Arbitrary<Pacing> = fc.record({
  cuts: fc.array(fc.nat(6_000), { maxLength: 6 }),
  waits: fc.array(fc.boolean(), { minLength: 1, maxLength: 4 }),
});

const bodyFields = (kind: BodyKind, length: number): string => {
  if (kind === 'chunked') return 'Transfer-Encoding: chunked\r\n';
  return kind === 'sized' ? `Content-Length: ${length}\r\n` : '';
};

/** The request's bytes, with the number by which the rig knows it. `last` closes the connection behind it. */
export function requestBytes(given: GeneratedExchange, id: number, last: boolean): Buffer {
  const head =
    `${given.method} ${given.target} HTTP/1.1\r\nX-Exchange: ${id}\r\nhOst: api.anthropic.com\r\n` +
    given.fields.map(lineOf).join('') +
    (last ? 'Connection: close\r\n' : '') +
    bodyFields(given.body.kind, given.body.raw.length);
  return Buffer.concat([Buffer.from(`${head}\r\n`, 'latin1'), given.body.raw]);
}

/** The answer's bytes, interim ones first. */
export function answerBytes(given: GeneratedExchange): Buffer {
  const first = given.interim.map(
    (early) => `HTTP/1.1 ${early.status} ${early.reason}\r\n${early.fields.map(lineOf).join('')}\r\n`,
  );
  const { answer, claims } = given;
  const claimed = { nothing: '', length: 'content-length: 1234\r\n', chunks: 'Transfer-Encoding: chunked\r\n' }[claims];
  const framing =
    answer.kind === 'none' ? (given.status === 204 ? '' : claimed) : bodyFields(answer.kind, answer.raw.length);
  const head =
    `HTTP/1.1 ${given.status}${given.reason === null ? '' : ` ${given.reason}`}\r\n` +
    given.answerFields.map(lineOf).join('') +
    (given.upstreamCloses ? 'Connection: close\r\n' : '') +
    framing;
  return Buffer.concat([Buffer.from(`${first.join('')}${head}\r\n`, 'latin1'), answer.raw]);
}

/** The bytes cut at the given places, each modulo their number. */
export function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % Math.max(1, bytes.length)))].sort((a, b) => a - b);
  return [...places, bytes.length]
    .map((end, at) => bytes.subarray(places[at - 1] ?? 0, end))
    .filter((piece) => piece.length > 0);
}
