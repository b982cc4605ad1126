/**
 * Builds an answer of the Messages API, streamed or whole, with zero usage. The same request gets the same bytes, so that
 * a retry gets the same answer.
 */
import { hash } from 'node:crypto';
import { chunks } from '../wire/text.ts';

export interface ServedAnswer {
  readonly headers: readonly string[];
  readonly body: Buffer;
}

/** Characters per `content_block_delta`. */
const DELTA = 4_096;

const USAGE = { input_tokens: 0, cache_creation_input_tokens: 0, cache_read_input_tokens: 0, output_tokens: 0 };

const event = (data: { readonly type: string; readonly [field: string]: unknown }): string =>
  `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;

/**
 * Builds the answer to a compaction.
 *
 * @param options.key identifies the request, e.g. the last link of its history
 */
export function servedAnswer(options: {
  readonly text: string;
  readonly model: string;
  readonly stream: boolean;
  readonly key: string;
}): ServedAnswer {
  const id = hash('sha256', `${options.key}\0${options.text}`, 'hex').slice(0, 24);
  const message = {
    id: `msg_dbproxy_${id}`,
    type: 'message',
    role: 'assistant',
    model: options.model,
    content: [] as readonly unknown[],
    stop_reason: null as string | null,
    stop_sequence: null,
    usage: USAGE,
  };
  const requestId = ['request-id', `req_dbproxy_${id}`];
  if (!options.stream) {
    const content = [{ type: 'text', text: options.text }];
    const body = Buffer.from(JSON.stringify({ ...message, content, stop_reason: 'end_turn' }));
    return { headers: ['content-type', 'application/json', ...requestId], body };
  }
  const events = [
    event({ type: 'message_start', message }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    event({ type: 'ping' }),
    ...Array.from(chunks(options.text, DELTA), (text) =>
      event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
    ),
    event({ type: 'content_block_stop', index: 0 }),
    event({ type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: USAGE }),
    event({ type: 'message_stop' }),
  ];
  return {
    headers: ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache', ...requestId],
    body: Buffer.from(events.join('')),
  };
}
