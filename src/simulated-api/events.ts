/**
 * From a description of an answer to the message the API would send: as one JSON body,
 * or as the sequence of server-sent events. Pure: no clock, no socket.
 */
import { randomBytes } from 'node:crypto';
import { chunks } from '../wire/text.ts';
import { type AnswerBlock } from './behaviour.ts';
import { CHARS_PER_TOKEN } from './prompt-blocks.ts';
import { type Usage } from './wire-types.ts';

/** Text per delta: about five tokens. */
const CHARS_PER_DELTA = 20;

/** A whole answer with all figures settled. */
export interface AnswerMessage {
  readonly id: string;
  readonly model: string;
  readonly blocks: readonly AnswerBlock[];
  readonly usage: Usage;
  readonly stopReason: string;
}

/** One server-sent event. `tokens` is the output it carries, for pacing. */
export interface StreamEvent {
  readonly name: string;
  readonly data: object;
  readonly tokens: number;
}

/** Tokens of an answer's content by its size. */
export function outputTokens(blocks: readonly AnswerBlock[]): number {
  return blocks.reduce((sum, block) => sum + tokensOf(contentOf(block)), 0);
}

/** The content as far as `maxTokens` allows: what is over is cut off, as the API does. */
export function cutToTokens(
  blocks: readonly AnswerBlock[],
  maxTokens: number,
): { readonly blocks: readonly AnswerBlock[]; readonly cut: boolean } {
  const kept: AnswerBlock[] = [];
  let left = maxTokens;
  for (const block of blocks) {
    const size = tokensOf(contentOf(block));
    if (size <= left) kept.push(block);
    else {
      if (left > 0 && block.type === 'text') kept.push({ ...block, text: block.text.slice(0, left * CHARS_PER_TOKEN) });
      return { blocks: kept, cut: true };
    }
    left -= size;
  }
  return { blocks: kept, cut: false };
}

/** Ids and signatures for the blocks that came without. */
export function withIds(blocks: readonly AnswerBlock[]): readonly AnswerBlock[] {
  return blocks.map((block) => {
    if (block.type === 'tool_use') return { ...block, id: block.id ?? newId('toolu_01') };
    if (block.type === 'thinking')
      return { ...block, signature: block.signature ?? randomBytes(48).toString('base64') };
    return block;
  });
}

/** An id as the API makes them: a prefix and 22 letters and digits. */
export function newId(prefix: string): string {
  return prefix + randomBytes(32).toString('base64').replace(/[+/=]/g, '').slice(0, 22).padEnd(22, 'A');
}

/** The body of an answer that is not streamed. */
export function messageJson(message: AnswerMessage): object {
  return { ...envelope(message), content: message.blocks, stop_reason: message.stopReason, usage: message.usage };
}

/** The events of a streamed answer, in order. */
export function* streamEvents(message: AnswerMessage): Generator<StreamEvent> {
  const usage = { ...message.usage, output_tokens: Math.min(1, message.usage.output_tokens) };
  yield event('message_start', { message: { ...envelope(message), content: [], stop_reason: null, usage } });
  for (const [index, block] of message.blocks.entries()) {
    yield event('content_block_start', { index, content_block: emptyBlock(block) });
    if (index === 0) yield event('ping', {});
    for (const delta of deltasOf(block)) {
      yield { ...event('content_block_delta', { index, delta: delta.json }), tokens: delta.tokens };
    }
    yield event('content_block_stop', { index });
  }
  const delta = { stop_reason: message.stopReason, stop_sequence: null };
  yield event('message_delta', { delta, usage: cumulativeUsage(message.usage) });
  yield event('message_stop', {});
}

/** An event as it stands on the wire. */
export function formatEvent(streamEvent: Pick<StreamEvent, 'name' | 'data'>): string {
  return `event: ${streamEvent.name}\ndata: ${JSON.stringify(streamEvent.data)}\n\n`;
}

function event(name: string, fields: object): StreamEvent {
  return { name, data: { type: name, ...fields }, tokens: 0 };
}

function envelope(message: AnswerMessage): object {
  return { id: message.id, type: 'message', role: 'assistant', model: message.model, stop_sequence: null };
}

function cumulativeUsage(usage: Usage): object {
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens } = usage;
  return { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens };
}

function emptyBlock(block: AnswerBlock): object {
  switch (block.type) {
    case 'text':
      return { type: 'text', text: '' };
    case 'thinking':
      return { type: 'thinking', thinking: '', signature: '' };
    case 'tool_use':
      return { type: 'tool_use', id: block.id, name: block.name, input: {} };
  }
}

function* deltasOf(block: AnswerBlock): Generator<{ readonly json: object; readonly tokens: number }> {
  switch (block.type) {
    case 'text':
      for (const text of chunks(block.text, CHARS_PER_DELTA))
        yield { json: { type: 'text_delta', text }, tokens: tokensOf(text) };
      return;
    case 'thinking':
      for (const thinking of chunks(block.thinking, CHARS_PER_DELTA)) {
        yield { json: { type: 'thinking_delta', thinking }, tokens: tokensOf(thinking) };
      }
      yield { json: { type: 'signature_delta', signature: block.signature }, tokens: 0 };
      return;
    case 'tool_use':
      // The API opens a tool's input with an empty piece.
      yield { json: { type: 'input_json_delta', partial_json: '' }, tokens: 0 };
      for (const partial of chunks(JSON.stringify(block.input), CHARS_PER_DELTA)) {
        yield { json: { type: 'input_json_delta', partial_json: partial }, tokens: tokensOf(partial) };
      }
  }
}

function contentOf(block: AnswerBlock): string {
  if (block.type === 'text') return block.text;
  return block.type === 'thinking' ? block.thinking : JSON.stringify(block.input);
}

function tokensOf(text: string): number {
  return Math.ceil(text.length / CHARS_PER_TOKEN);
}
