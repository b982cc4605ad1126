/**
 * Context windows learned from the API: from `GET /v1/models/{id}`, asked once for each model that the table does not
 * know, and from errors about prompts that are too long.
 */
import { tokens, type Tokens } from '../../machines/units.ts';
import type { Log } from '../log.ts';
import { endToEnd, headerValue, type RawHeaders } from '../wire/headers.ts';
import { isObject, parseJson } from '../wire/json.ts';
import { isKnownModel, limitKey, type LearnedWindows } from '../wire/windows.ts';
import type { HttpClient } from './http-client.ts';

const MAX_ANSWER_BYTES = 64 * 1024;
/** Limit of distinct models: their names come from the client. */
const MAX_MODELS = 100;
/** Headers of the message request that do not fit a GET for a model, and those that name a conversation. */
const LEFT_OUT = /^(content-|accept-encoding$|host$|expect$|x-claude-code-|x-stainless-|anthropic-beta$)/i;

/** The model that a request asks for, and the request's end-to-end headers. */
export interface RequestedModel {
  readonly model: string;
  readonly headers: RawHeaders;
}

export class ModelWindows {
  readonly #listed = new Map<string, Tokens>();
  readonly #limits = new Map<string, Tokens>();
  readonly #asked = new Set<string>();
  readonly #options: { readonly client: HttpClient; readonly log: Log; readonly enabled: boolean };

  constructor(options: { readonly client: HttpClient; readonly log: Log; readonly enabled: boolean }) {
    this.#options = options;
  }

  /** A live view. */
  get learned(): LearnedWindows {
    return { listed: this.#listed, limits: this.#limits };
  }

  /** Keeps the window that the API named when it refused a prompt as too long. */
  learnLimit({ model, headers }: RequestedModel, window: Tokens): void {
    const key = limitKey(model, headerValue(headers, 'anthropic-beta') ?? '');
    const isFull = !this.#limits.has(key) && this.#limits.size >= MAX_MODELS;
    if (this.#limits.get(key) === window || isFull) return;
    this.#limits.set(key, window);
    this.#options.log.info('model.learned', { model, window });
  }

  /** Asks for a model's window with the credentials of a request, unless it is known or was asked for. */
  learn({ model, headers }: RequestedModel): void {
    const { client, enabled, log } = this.#options;
    if (!enabled || isKnownModel(model) || this.#asked.has(model) || this.#asked.size >= MAX_MODELS) return;
    this.#asked.add(model);
    const chunks: Buffer[] = [];
    let bytes = 0;
    let answered = 0;
    client.send(
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
          this.#listed.set(model, window);
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
