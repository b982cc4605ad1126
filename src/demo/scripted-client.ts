/**
 * A scripted client that sends what Claude Code sends (2.1.330, wire.md): CONNECT and TLS, headers, `cache_control` and
 * compactions. Used by the demo and the tests.
 */
import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { Agent, ProxyAgent, request, type Dispatcher } from 'undici';
import { AnswerReader, type Usage } from '../wire/answer-reader.ts';
import type { Block, Message } from '../wire/message-request.ts';
import { SseReader } from '../wire/sse.ts';
import { extractSummary } from '../compaction/summary-text.ts';

export interface ScriptedClientOptions {
  /** The redirector, e.g. `http://127.0.0.1:8080`; undefined: straight to `api`, without a proxy. */
  readonly proxy?: string;
  /** CA certificate to trust (PEM). */
  readonly ca?: string;
  /** The API's URL; the real one's by default. */
  readonly api?: string;
  readonly model?: string;
  readonly session?: string;
  readonly agent?: string;
  readonly maxTokens?: number;
  /** Text that makes the request as large as a real one: tools and system are ~80 KB. */
  readonly system?: string;
  /** False: without class headers, as older clients. */
  readonly classHeaders?: boolean;
  /** More headers, as the client takes them from `ANTHROPIC_CUSTOM_HEADERS`. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly usage: Usage;
  readonly error: string | null;
  readonly bytes: number;
  /** Milliseconds from the request's first byte to the answer's last byte. */
  readonly ms: number;
}

/** The part of the client's instruction that matters (2.1.330). */
export const COMPACT_INSTRUCTION = `CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.

Your task is to create a detailed summary of the conversation so far, paying close attention to the user's explicit requests and your previous actions.

REMINDER: Do NOT call any tools. Respond with plain text only — an <analysis> block followed by a <summary> block.`;

const CONTINUED =
  'This session is being continued from a previous conversation that ran out of context. The summary below covers the earlier portion of the conversation.';

const EPHEMERAL = { type: 'ephemeral' };

/** Sets `cache_control` on the newest block only, as the client does. */
function marked(messages: readonly Message[], markAt: number): unknown[] {
  return messages.map((message, index) => {
    if (index !== markAt) return message;
    const blocks: readonly Block[] =
      typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;
    const content = blocks.map((block, at) =>
      at === blocks.length - 1 ? { ...block, cache_control: EPHEMERAL } : block,
    );
    return { ...message, content };
  });
}

export class ScriptedClient {
  readonly session: string;
  messages: Message[] = [];
  model: string;
  readonly #options: ScriptedClientOptions;
  readonly #dispatcher: Dispatcher;
  #justCompacted: string | null = null;
  #requests = 0;

  constructor(options: ScriptedClientOptions) {
    this.#options = options;
    this.session = options.session ?? randomUUID();
    this.model = options.model ?? 'claude-sonnet-4-6';
    const { api, ca, proxy } = options;
    // What is scripted here must never reach the real API.
    if (proxy === undefined && api === undefined) throw new Error('the scripted client needs a proxy or an api');
    const requestTls = ca === undefined ? {} : { ca };
    this.#dispatcher =
      proxy === undefined ? new Agent() : new ProxyAgent({ uri: proxy, requestTls, proxyTunnel: true });
  }

  /** Sends a user message; a successful answer is added to the history. */
  async say(content: string | readonly Block[]): Promise<Reply> {
    const turn: Message = { role: 'user', content };
    const reply = await this.send([...this.messages, turn], 'main');
    if (reply.status === 200 && reply.error === null) {
      this.messages.push(turn, { role: 'assistant', content: [{ type: 'text', text: reply.text }] });
    }
    return reply;
  }

  /**
   * Compacts as the client does: history plus instruction; the answer's summary becomes the new history, with the last
   * assistant message kept.
   *
   * @param words of the user, as in `/compact <words>`
   */
  async compact(trigger: 'auto' | 'manual' = 'auto', words = ''): Promise<Reply> {
    const content = words === '' ? COMPACT_INSTRUCTION : `${COMPACT_INSTRUCTION}\n\nAdditional Instructions:\n${words}`;
    const instruction: Message = { role: 'user', content };
    const reply = await this.send([...this.messages, instruction], 'compaction', trigger);
    const summary = reply.status === 200 ? extractSummary(reply.text) : '';
    if (summary !== '') {
      const kept = this.messages.slice(-1);
      this.messages = [{ role: 'user', content: `${CONTINUED}\n\nSummary:\n${summary}` }, ...kept];
      this.#justCompacted = trigger;
    }
    return reply;
  }

  /** Sends an auxiliary request, such as one for a title. */
  aside(text: string): Promise<Reply> {
    return this.send([{ role: 'user', content: text }], 'auxiliary');
  }

  /** Sends any messages under this client's name. */
  async send(
    messages: readonly Message[],
    requestClass: 'main' | 'compaction' | 'auxiliary',
    compaction?: string,
    signal?: AbortSignal,
  ): Promise<Reply> {
    const began = performance.now();
    const markAt = requestClass === 'compaction' ? messages.length - 2 : messages.length - 1;
    const { api = 'https://api.anthropic.com' } = this.#options;
    const response = await request(`${api}/v1/messages?beta=true`, {
      method: 'POST',
      dispatcher: this.#dispatcher,
      headers: this.#headers(requestClass, compaction),
      body: JSON.stringify(this.#body(messages, markAt)),
      ...(signal === undefined ? {} : { signal }),
    });
    const reader = new AnswerReader({ keepText: true });
    const sse = new SseReader((event) => reader.takeEvent(event));
    const chunks: Buffer[] = [];
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      if (response.statusCode === 200) sse.push(chunk);
    }
    const body = Buffer.concat(chunks);
    if (response.statusCode !== 200) reader.takeBody(body.toString('utf8'));
    return {
      status: response.statusCode,
      headers: response.headers,
      text: reader.text,
      usage: reader.usage,
      error: reader.error === null ? null : `${reader.error.type}: ${reader.error.message}`,
      bytes: body.length,
      ms: performance.now() - began,
    };
  }

  async close(): Promise<void> {
    await this.#dispatcher.destroy();
  }

  #headers(requestClass: string, compaction: string | undefined): Record<string, string> {
    const { agent, classHeaders = true } = this.#options;
    const headers: Record<string, string> = {
      'content-type': 'application/json',
      accept: 'application/json',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'claude-code-20250219,interleaved-thinking-2025-05-14',
      'user-agent': 'claude-cli/2.1.330 (external, sdk-cli)',
      'x-app': 'cli',
      'x-api-key': 'sk-ant-scripted-client',
      'accept-encoding': 'gzip, deflate, br, zstd',
      ...this.#options.headers,
    };
    if (!classHeaders) return headers;
    headers['x-claude-code-session-id'] = this.session;
    headers['x-claude-code-request-class'] = agent !== undefined && requestClass === 'main' ? 'subagent' : requestClass;
    if (agent !== undefined) headers['x-claude-code-agent-id'] = agent;
    if (compaction !== undefined) headers['x-claude-code-compaction'] = compaction;
    if (this.#justCompacted !== null && requestClass === 'main') {
      headers['x-claude-code-context-compacted'] = this.#justCompacted;
      this.#justCompacted = null;
    }
    return headers;
  }

  #body(messages: readonly Message[], markAt: number): unknown {
    this.#requests += 1;
    const { maxTokens = 32_000, system = 'You are a scripted client.' } = this.#options;
    return {
      model: this.model,
      messages: marked(messages, markAt),
      system: [
        // The real one's billing header changes between the requests of one conversation.
        { type: 'text', text: `x-anthropic-billing-header: cc_version=2.1.330.${this.#requests};` },
        { type: 'text', text: system, cache_control: EPHEMERAL },
      ],
      tools: [{ name: 'Bash', description: 'Runs a command', input_schema: { type: 'object', properties: {} } }],
      metadata: { user_id: JSON.stringify({ device_id: 'd', account_uuid: '', session_id: this.session }) },
      max_tokens: maxTokens,
      stream: true,
    };
  }
}
