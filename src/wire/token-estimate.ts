/** An estimate of the tokens in a request, for answers whose usage is absent or zero. */
import { tokens, type Tokens } from '../../machines/units.ts';

/** What the client estimates with (wire.md, Usage; 2.1.332). */
const BYTES_PER_TOKEN = 4;
/** What the base64 data of an image or a document follows; its size says nothing about its tokens. */
const BASE64_DATA = /"type":"base64"[^{}]{0,200}?"data":"/g;

/** Estimates the tokens that a request's body takes up, system prompt and tools included. */
export function estimateTokens(body: Buffer): Tokens {
  const text = body.toString('latin1');
  let bytes = text.length;
  for (const match of text.matchAll(BASE64_DATA)) {
    const start = match.index + match[0].length;
    const end = text.indexOf('"', start);
    bytes -= (end < 0 ? text.length : end) - start;
  }
  return tokens(Math.round(bytes / BYTES_PER_TOKEN));
}
