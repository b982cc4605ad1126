/** Conversations that reach the thresholds when a test wants them to, and what the API saw of them. */
import { CHECKPOINT_INSTRUCTION } from '../../src/checkpoint/instruction.ts';
import type { Environment } from '../../src/config/config.ts';
import type { ScriptedClient, ScriptedClientOptions } from '../../src/demo/scripted-client.ts';
import type { LogFields } from '../../src/log.ts';
import type { RecordedRequest, Responder, SimulatedApiOptions } from '../../src/simulated-api/index.ts';
import { blocksOf } from '../../src/simulated-api/wire-types.ts';
import type { RawRequest } from '../src/forwarder/raw-client.ts';
import { quickRig } from '../src/forwarder/quick-rig.ts';
import { until } from '../src/redirector/sockets.ts';
import type { Rig } from '../support/rig.ts';

/** Sizes of a prompt on claude-sonnet-4-6, whose effective window is 180,000 here. */
export const SMALL = 20_000;
/** Past the checkpoint threshold. */
export const LARGE = 130_000;
/** Past the swap threshold. */
export const FULL = 150_000;

export interface Stage extends Rig {
  /** How large prompts of a session are from now on. */
  size(client: ScriptedClient, promptTokens: number): void;
  /** What the checkpoint calls of a session are answered with; by default a summary. */
  summarise(client: ScriptedClient, answer: Responder): void;
  /** A client that has talked until its checkpoint was there. */
  checkpointed(options?: Partial<ScriptedClientOptions>, ...words: string[]): Promise<ScriptedClient>;
  /** Requests of a session for a message that the API saw. */
  seen(client: ScriptedClient): readonly RecordedRequest[];
  checkpointCalls(client: ScriptedClient): readonly RecordedRequest[];
  /** Compactions of the client that reached the API. */
  compactions(client: ScriptedClient): readonly RecordedRequest[];
  /** Resolves when that was logged about the client's conversation, `count` times. */
  told(client: ScriptedClient, event: string, count?: number): Promise<LogFields>;
}

/** The last text of the last message. */
const lastText = ({ message }: RecordedRequest): string => {
  const last = message?.messages.at(-1);
  return last === undefined ? '' : (blocksOf(last.content).at(-1)?.text ?? '');
};
export const isCheckpointCall = (request: RecordedRequest): boolean => lastText(request) === CHECKPOINT_INSTRUCTION;
export const isCompaction = (request: RecordedRequest): boolean =>
  lastText(request).includes('Your task is to create a detailed summary of the conversation so far');

export async function openStage(env: Environment = {}, options: SimulatedApiOptions = {}): Promise<Stage> {
  const rig = await quickRig(env, options);
  const sizes = new Map<string, number>();
  const summaries = new Map<string, Responder>();
  const sessionOf = (request: RecordedRequest): string =>
    /\\"session_id\\":\\"([^"\\]+)/.exec(request.body.toString())?.[1] ?? '';
  rig.api.respondWith((call) => {
    const session = sessionOf(call.request);
    if (isCheckpointCall(call.request)) return summaries.get(session)?.(call);
    return { promptTokens: sizes.get(session) ?? SMALL };
  });
  const of = (client: ScriptedClient): readonly RecordedRequest[] =>
    rig.api.messages.filter((request) => sessionOf(request) === client.session);
  const stage: Stage = {
    ...rig,
    size: (client, promptTokens) => void sizes.set(client.session, promptTokens),
    summarise: (client, answer) => void summaries.set(client.session, answer),
    async checkpointed(given, ...words) {
      const client = rig.client(given);
      for (const said of words.slice(0, -1)) await client.say(said);
      sizes.set(client.session, LARGE);
      // Its own words: the same ones in another session are a fork, and find the same checkpoint.
      await client.say(words.at(-1) ?? `Please fix the parser of ${client.session}.`);
      await stage.told(client, 'checkpoint.completed');
      return client;
    },
    seen: of,
    checkpointCalls: (client) => of(client).filter(isCheckpointCall),
    compactions: (client) => of(client).filter(isCompaction),
    async told(client, event, count = 1) {
      const lines = () =>
        rig.log.filter(
          (line) => line.event === event && String(line.fields['conversation']).startsWith(client.session),
        );
      await until(() => lines().length >= count);
      return lines()[count - 1]?.fields ?? {};
    },
  };
  return stage;
}

/** A recorded request, to be written once more as raw bytes, with another body and class. */
export function again(
  { rawHeaders, url }: Pick<RecordedRequest, 'rawHeaders' | 'url'>,
  requestClass: string,
  body: string,
): RawRequest {
  const own = /^(host|content-length|connection|transfer-encoding|x-claude-code-request-class)$/i;
  const headers = rawHeaders.filter((_, at, all) => !own.test(all[at - (at % 2)] ?? ''));
  return { method: 'POST', path: url, headers: [...headers, 'x-claude-code-request-class', requestClass], body };
}
