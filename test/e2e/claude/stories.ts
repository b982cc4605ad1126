/** What most tests tell in the same way: how a conversation gets to where it matters, and how a good outcome looks. */
import { expect } from 'chai';
import { summaryMarker, type RecordedRequest } from '../../../src/simulated-api/index.ts';
import type { ClaudeClient, Turn } from './client.ts';
import { traits } from './claude.ts';
import type { Lab } from './lab.ts';
import { countOf, said } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, says, thinks } from './script.ts';

/** A served compaction takes the client less than this; one that the API answers takes it {@link SUMMARY_MS} at least. */
const AT_ONCE_MS = 1_000;

/** How long the simulated API takes for a summary where a test wants to tell the two apart. */
export const SUMMARY_MS = 2_000;

/** PROMPT-ONE and PROMPT-TWO are answered; the second answer crosses the checkpoint threshold. The checkpoint is ready. */
export async function upToCheckpoint(lab: Lab, client: ClaudeClient): Promise<RecordedRequest> {
  const before = lab.of('checkpoint').length;
  await lab.turn(client, 'PROMPT-ONE: look at the parser.', thinks('ANSWER-ONE'));
  expect(lab.of('checkpoint'), 'a checkpoint below the threshold').to.have.length(before);
  await lab.turn(client, 'PROMPT-TWO: now the lexer.', thinks('ANSWER-TWO', PAST_CHECKPOINT));
  return lab.checkpointed(before + 1);
}

/** The same, and PROMPT-THREE with an answer that crosses the swap threshold: the next prompt makes the client compact. */
export async function upToSwap(lab: Lab, client: ClaudeClient): Promise<RecordedRequest> {
  const checkpoint = await upToCheckpoint(lab, client);
  await lab.turn(client, 'PROMPT-THREE: and the tests.', says('ANSWER-THREE', PAST_SWAP));
  return checkpoint;
}

/** The client compacted once during `turn`, and the API was not asked to. */
export function expectServed(lab: Lab, turn: Turn, trigger: 'auto' | 'manual'): void {
  expect(turn.compactions.map((compaction) => compaction.trigger)).to.deep.equal([trigger]);
  expect(lab.of('compaction'), 'compactions that reached the API').to.have.length(0);
  if (!traits.tellsDuration) return;
  expect(turn.compactions[0]?.duration_ms, 'duration of the compaction').to.be.below(AT_ONCE_MS);
}

interface Words {
  readonly kept: readonly string[];
  readonly gone: readonly string[];
}

/**
 * The conversation goes on from the summary that was made in answer to `source`, once, and nothing of what was said
 * after it is lost; what was said before it is gone.
 */
export function expectGoesOnFrom(source: RecordedRequest, next: RecordedRequest, words: Words): void {
  const text = said(next);
  expect(countOf(`${summaryMarker(source.number)}\\n`, text), 'the summary in the next request').to.equal(1);
  for (const kept of words.kept) expect(text.includes(kept), `${kept.slice(0, 60)} is there`).to.equal(true);
  for (const gone of words.gone) expect(text.includes(gone), `${gone.slice(0, 60)} is there still`).to.equal(false);
}

/**
 * The main conversation goes on from the API's own summary. `pending`: the prompt before which the client compacted.
 * Clients that keep nothing back have put it into the compaction, for the API to summarise.
 */
export function expectGoesOnFromApi(lab: Lab, words: Words & { readonly pending?: string }): void {
  const { pending, kept, gone } = words;
  const compaction = lab.newest('compaction');
  if (pending !== undefined && !traits.keepsNewestRound) expect(said(compaction)).to.include(pending);
  const whole = pending !== undefined && traits.keepsNewestRound ? [...kept, pending] : kept;
  expectGoesOnFrom(compaction, lab.newest('main'), { kept: whole, gone });
}
