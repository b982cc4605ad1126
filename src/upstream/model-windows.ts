/** Context windows learned from the API: `GET /v1/models/{id}`, asked once per model that the table does not know. */
import { tokens, type Tokens } from '../../machines/units.ts';
import type { Log } from '../log.ts';
import { endToEnd, type RawHeaders } from '../wire/headers.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { isKnownModel } from '../wire/windows.ts';
import type { Upstream } from './http-client.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** Distinct models that are asked for, at most: the name comes from the client. */
const MAX_MODELS = 100;
/** Headers of the message request that do not fit a GET for a model, and those that name a conversation. */
const LEFT_OUT = /^(content-|accept-encoding$|host$|expect$|x-claude-code-|x-stainless-|anthropic-beta$)/i;

export class ModelWindows {
  readonly #learned = new Map<string, Tokens>();
  readonly #asked = new Set<string>();
  readonly #options: { readonly upstream: Upstream; readonly log: Log; readonly enabled: boolean };

  constructor(options: { readonly upstream: Upstream; readonly log: Log; readonly enabled: boolean }) {
    this.#options = options;
  }

  get learned(): ReadonlyMap<string, Tokens> {
    return this.#learned;
  }

  /** Asks for a model's window with the credentials of the request at hand, unless it is known or was asked for. */
  learn(model: string, headers: RawHeaders): void {
    const { enabled, log, upstream } = this.#options;
    if (!enabled || isKnownModel(model) || this.#asked.has(model) || this.#asked.size >= MAX_MODELS) return;
    this.#asked.add(model);
    const chunks: Buffer[] = [];
    let bytes = 0;
    let answered = 0;
    upstream.send(
      {
        method: 'GET',
        path: `/v1/models/${encodeURIComponent(model)}`,
        headers: [...endToEnd(headers, (name) => LEFT_OUT.test(name)), 'accept-encoding', 'identity'],
        body: null,
      },
      {
        onHead: (status) => {
          answered = status;
        },
        onData: (chunk) => {
          bytes += chunk.length;
          if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
          return true;
        },
        onEnd: () => {
          if (answered !== 200) return;
          const window = maxInputTokens(Buffer.concat(chunks).toString('utf8'));
          if (window === null) return;
          this.#learned.set(model, window);
          log.info('model.learned', { model, window });
        },
        // Asked again with the next process; until then the default holds.
        onError: (error) => log.debug('model.unknown', { model, message: error.message }),
      },
    );
  }
}

function maxInputTokens(body: string): Tokens | null {
  const json = parseJson(body);
  const window = isObject(json) ? json['max_input_tokens'] : null;
  return typeof window === 'number' && Number.isInteger(window) && window > 0 ? tokens(window) : null;
}
