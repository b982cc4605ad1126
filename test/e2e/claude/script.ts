/** What the model says in a test: an answer each to the main conversation's requests, and standing ones to the others. */
import type { Answer, Call } from '../../../src/simulated-api/index.ts';
import { kindOf } from './requests.ts';

/** An answer, or how to make one from the request. */
export type Reply = Answer | ((call: Call) => Answer);

/** Sizes to claim for a window of 200,000 tokens, of which 180,000 count: below 70 %, past it, past 80 %. */
export const SMALL = 30_000;
export const PAST_CHECKPOINT = 130_000;
export const PAST_SWAP = 146_000;

/** Says something, and claims a size of the prompt. */
export function says(text: string, promptTokens = SMALL): Answer {
  return { blocks: [{ type: 'text', text }], promptTokens };
}

/**
 * Thinks, then says something, at the pace of a fast model: where both have one time stamp, 2.1.63 takes the thinking for
 * the end of the conversation when it resumes, and drops what was said.
 */
export function thinks(text: string, promptTokens = SMALL): Answer {
  const thinking = { type: 'thinking', thinking: `Thinking about it: ${text}` } as const;
  return { blocks: [thinking, { type: 'text', text }], promptTokens, tokensPerSecond: 200 };
}

/** Calls a tool. */
export function calls(name: string, input: Readonly<Record<string, unknown>>, promptTokens = SMALL): Answer {
  return {
    blocks: [
      { type: 'text', text: `I use ${name}.` },
      { type: 'tool_use', name, input },
    ],
    promptTokens,
  };
}

/** Runs a shell command. */
export function runs(command: string, promptTokens = SMALL): Answer {
  return calls('Bash', { command, description: 'Runs a command' }, promptTokens);
}

/** Starts a subagent, by the name that the client's version has for that tool. */
export function delegates(prompt: string, promptTokens = SMALL): Reply {
  return ({ message }) => {
    const name = message.tools?.some((tool) => tool['name'] === 'Agent') === true ? 'Agent' : 'Task';
    const input = { description: 'Do a part', prompt, subagent_type: 'general-purpose', run_in_background: false };
    return calls(name, input, promptTokens);
  };
}

/** The script of one simulated API. */
export class Script {
  /** The answers to come in the main conversation. */
  readonly main: Reply[] = [];
  /** The answers to come in subagents. */
  readonly subagent: Reply[] = [];
  /** To every checkpoint call; by default a summary with a marker. */
  checkpoint: Answer | undefined;
  /** To every compaction of the client; by default a summary with a marker. */
  compaction: Answer | undefined;
  /** To every request beside the conversations; by default a title or a sentence. */
  auxiliary: Answer | undefined;
  /** To every main request for which no answer is prepared; without it, such a request is counted in `surplus`. */
  standing: Answer | undefined;
  /** Main requests that found no answer at all. */
  surplus = 0;

  answer(call: Call): Answer | undefined {
    switch (kindOf(call.request)) {
      case 'main':
        if (this.main.length === 0 && this.standing === undefined) this.surplus += 1;
        return made(this.main.shift() ?? this.standing ?? says('Nothing was prepared.'), call);
      case 'subagent':
        return made(this.subagent.shift() ?? says('The subagent is done.'), call);
      case 'checkpoint':
        return this.checkpoint;
      case 'compaction':
        return this.compaction;
      case 'auxiliary':
        return this.auxiliary;
    }
  }
}

function made(reply: Reply, call: Call): Answer {
  return typeof reply === 'function' ? reply(call) : reply;
}
