/**
 * The shapes that travel between a client and the simulated API, as far as the simulation looks at them.
 * Unknown fields are everywhere and always allowed: the real client sends more than is documented.
 */

import type { JsonObject } from '../wire/json.ts';

/** A mark that asks for the prompt up to here to be cached. */
export interface CacheControl {
  readonly type: string;
  readonly ttl?: string;
}

/** A content block, a system block or a tool result: told apart by `type`. */
export interface Block {
  readonly type: string;
  readonly text?: string;
  readonly id?: string;
  readonly tool_use_id?: string;
  readonly content?: unknown;
  readonly cache_control?: CacheControl | null;
}

/** One message of a history. `system` as a role is new with the 5.5 models. */
export interface Message {
  readonly role: 'user' | 'assistant' | 'system';
  readonly content: string | readonly Block[];
}

/** The body of `POST /v1/messages` after validation. */
export interface MessagesRequest {
  readonly model: string;
  readonly messages: readonly Message[];
  readonly max_tokens: number;
  readonly system?: string | readonly Block[] | null;
  readonly tools?: readonly JsonObject[] | null;
  readonly stream?: boolean;
  readonly thinking?: unknown;
  readonly tool_choice?: unknown;
  readonly output_config?: unknown;
  readonly cache_control?: CacheControl | null;
}

/** Token counts as the API reports them. The prompt is the sum of input, cache creation and cache read. */
export interface Usage {
  readonly input_tokens: number;
  readonly cache_creation_input_tokens: number;
  readonly cache_read_input_tokens: number;
  readonly cache_creation: {
    readonly ephemeral_5m_input_tokens: number;
    readonly ephemeral_1h_input_tokens: number;
  };
  readonly output_tokens: number;
  readonly service_tier: string;
}

/** A content as a list of blocks: a plain string is one text block. */
export function blocksOf(content: string | readonly Block[]): readonly Block[] {
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}

/** All prompt tokens of a usage, cached or not. */
export function promptTokensOf(usage: Usage): number {
  return usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens;
}
