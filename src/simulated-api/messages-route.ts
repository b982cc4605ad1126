/** `POST /v1/messages` and `POST /v1/messages/count_tokens`: validates, gets the scripted answer, computes usage, sends. */
import { apiError, invalid, promptTooLong, type ApiError } from './api-errors.ts';
import { defaultBlocks, type Call } from './scripted-answers.ts';
import { type Answer, type AnswerBlock, type BreakingFault, type Speed } from './behaviour.ts';
import { type Delivery } from './delivery.ts';
import { cutToTokens, messageJson, newId, outputTokens, streamEvents, withIds, type AnswerMessage } from './events.ts';
import { isModifying, type FaultPlan } from './faults.ts';
import { findModel, windowOf } from './models.ts';
import { countTokens, promptBlocks, type PromptBlock } from './prompt-blocks.ts';
import { type CachePlan } from './prompt-cache.ts';
import { type RequestRecord } from './recorder.ts';
import { ruleError, shapeError } from './validation.ts';
import { type Simulation } from './simulation.ts';
import { type MessagesRequest } from './wire-types.ts';

/** Where the client puts `stream`: after the messages. */
const LEAN_TAIL_BYTES = 4_096;

/** A request that passed all checks. */
interface Checked {
  readonly message: MessagesRequest;
  readonly blocks: readonly PromptBlock[];
  readonly window: number;
}

/** Answers a request for a message. */
export async function answerMessages(
  simulation: Simulation,
  record: RequestRecord,
  delivery: Delivery,
  plan: FaultPlan,
): Promise<void> {
  if (simulation.lean) return answerLean(simulation, record, delivery);
  const checked = check(simulation, record, true);
  if ('status' in checked) return delivery.error(checked);
  const { message, blocks, window } = checked;
  const countedTokens = countTokens(blocks);
  const call: Call = { request: record, message, isSummary: record.isSummary, countedTokens };
  const scripted = faultyAnswer(plan.breaking, call) ?? simulation.script?.(call);
  const answer = (scripted instanceof Promise ? await delivery.unlessGone(scripted) : scripted) ?? {};
  if (answer.fault !== undefined) {
    delivery.misbehave(asPlan(answer.fault));
    record.faults = [...record.faults, answer.fault.kind];
    await delivery.strikeBeforeHead();
  }
  if (answer.raw !== undefined) return delivery.raw(answer.raw);

  const promptTokens = answer.promptTokens ?? countedTokens;
  if (promptTokens > window) return delivery.error(promptTooLong(promptTokens, window));
  const scale = promptTokens / Math.max(1, countedTokens);
  const cached = simulation.cache.plan({ owner: ownerOf(record), request: message, blocks, scale });
  await send(simulation, record, delivery, answer, settle(simulation, call, answer, cached), cached);
}

/** Answers how many tokens a prompt has. */
export async function answerCountTokens(
  simulation: Simulation,
  record: RequestRecord,
  delivery: Delivery,
): Promise<void> {
  const checked = check(simulation, record, false);
  if ('status' in checked) return delivery.error(checked);
  await delivery.json(200, JSON.stringify({ input_tokens: countTokens(checked.blocks) }));
}

function check(simulation: Simulation, record: RequestRecord, needsMaxTokens: boolean): Checked | ApiError {
  const { json } = record;
  if (json === undefined) return invalid('The request body is not valid JSON');
  const shape = shapeError(json, { needsMaxTokens });
  if (shape !== undefined) return shape;
  const { message } = record;
  if (message === undefined) return invalid('messages: Input should be a valid list');
  const model = findModel(simulation.models, message.model);
  if (model === undefined) return apiError(404, `model: ${message.model}`);
  const blocks = promptBlocks(message, simulation.charsPerToken);
  const rule = needsMaxTokens ? ruleError(message, blocks, model) : undefined;
  if (rule !== undefined) return rule;
  return { message, blocks, window: windowOf(model, record.headers['anthropic-beta']?.toString() ?? '') };
}

/** Fills in the missing parts of an answer's description. */
function settle(simulation: Simulation, call: Call, answer: Answer, cached: CachePlan): AnswerMessage {
  const wanted = answer.blocks ?? defaultBlocks(call, simulation.summaryTokens);
  const { blocks, cut } = cutToTokens(wanted, call.message.max_tokens);
  const usage = {
    ...cached.usage,
    output_tokens: Math.max(1, outputTokens(blocks)),
    service_tier: 'standard',
    ...answer.usage,
  };
  return {
    id: newId('msg_01'),
    model: call.message.model,
    blocks: withIds(blocks),
    usage,
    stopReason: answer.stopReason ?? (cut ? 'max_tokens' : naturalStop(blocks)),
  };
}

async function send(
  simulation: Simulation,
  record: RequestRecord,
  delivery: Delivery,
  answer: Answer,
  message: AnswerMessage,
  cached: CachePlan,
): Promise<void> {
  record.usage = message.usage;
  const speed = delivery.slowed({ ...simulation.speed, ...speedOf(answer) });
  if (record.message?.stream === true) {
    return delivery.stream(streamEvents(message), speed, answer.headers ?? {}, () => cached.commit());
  }
  const { firstByteMs = 0, tokensPerSecond = Infinity } = speed;
  await delivery.pause(firstByteMs + (outputTokens(message.blocks) * 1000) / tokensPerSecond);
  cached.commit();
  await delivery.json(200, JSON.stringify(messageJson(message)), answer.headers);
}

/** One delta of a lean answer. */
const LEAN_DELTA = 'A lean answer says. ';
const LEAN_DELTAS = 100;

/**
 * Without looking at the request: its size stands for its tokens, its last bytes tell whether it is streamed, the header
 * `x-simulated-deltas` how many deltas the answer has.
 */
async function answerLean(simulation: Simulation, record: RequestRecord, delivery: Delivery): Promise<void> {
  const text = LEAN_DELTA.repeat(Number(record.headers['x-simulated-deltas'] ?? LEAN_DELTAS));
  const blocks: readonly AnswerBlock[] = [{ type: 'text', text }];
  const usage = {
    input_tokens: Math.ceil(record.body.length / simulation.charsPerToken),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    output_tokens: outputTokens(blocks),
    service_tier: 'standard',
  };
  record.usage = usage;
  const message = { id: newId('msg_01'), model: 'claude-lean', blocks, usage, stopReason: 'end_turn' };
  const speed = delivery.slowed(simulation.speed);
  if (record.body.subarray(-LEAN_TAIL_BYTES).includes('"stream":true')) {
    return delivery.stream(streamEvents(message), speed, {}, () => undefined);
  }
  await delivery.pause(speed.firstByteMs ?? 0);
  await delivery.json(200, JSON.stringify(messageJson(message)));
}

/** The answer that a fault makes the model give. */
function faultyAnswer(fault: BreakingFault | undefined, call: Call): Answer | undefined {
  switch (fault?.kind) {
    case 'empty_answer':
      return { blocks: [] };
    case 'tool_call':
      return { blocks: [{ type: 'tool_use', name: fault.name ?? firstTool(call), input: { command: 'ls' } }] };
    case 'answer':
      return fault.answer;
    default:
      return undefined;
  }
}

function firstTool(call: Call): string {
  const name = call.message.tools?.[0]?.['name'];
  return typeof name === 'string' ? name : 'Bash';
}

function asPlan(fault: NonNullable<Answer['fault']>): FaultPlan {
  return isModifying(fault) ? { breaking: undefined, modifying: [fault] } : { breaking: fault, modifying: [] };
}

function speedOf({ firstByteMs, tokensPerSecond }: Answer): Speed {
  return {
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
    ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
  };
}

function naturalStop(blocks: readonly AnswerBlock[]): string {
  return blocks.some((block) => block.type === 'tool_use') ? 'tool_use' : 'end_turn';
}

function ownerOf(record: RequestRecord): string {
  return record.headers['x-api-key']?.toString() ?? record.headers.authorization ?? '';
}
