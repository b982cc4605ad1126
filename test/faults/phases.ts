/**
 * The moments of a conversation at which a fault can strike, and for each how the conversation gets there, what happens
 * then, and what must have survived it.
 */
import { expect } from 'chai';
import type { Fault } from '../../src/simulated-api/index.ts';
import type { RequestClass } from './client.ts';
import type { Leaving, Part } from './part.ts';

/** What is struck with what. */
export interface Blow {
  /** Faults of the answer to the client's request. */
  readonly request: readonly Fault[];
  /** Faults of the answer to the proxy's own call, where this moment has one. */
  readonly checkpoint: readonly Fault[];
  /** The call brings a summary all the same. */
  readonly summary: boolean;
  /** The client itself hangs up on its request. */
  readonly leaving?: Leaving;
}

export interface Moment {
  readonly name: string;
  /** Plays it on a conversation that has just begun, up to the compaction and a turn after it. */
  readonly play: (part: Part, blow: Blow) => Promise<void>;
  /** The proxy's own call is under way at this moment. */
  readonly calls: boolean;
  /** What a single fault strikes here. */
  readonly struck: 'request' | 'checkpoint';
}

/** Lets the next request of a class be struck. */
function strike(part: Part, blow: Blow, requestClass: RequestClass): void {
  for (const fault of blow.request) part.order(fault, requestClass);
  if (blow.leaving !== undefined) part.leaveNext(blow.leaving, requestClass);
}

function strikeCall(part: Part, faults: readonly Fault[]): void {
  for (const fault of faults) part.order(fault, 'checkpoint');
}

/** A turn that is struck, then said again until it is answered well. */
async function struckTurn(part: Part, blow: Blow): Promise<void> {
  strike(part, blow, 'main');
  await part.turn();
  part.expectStruck();
}

/** The conversation compacts from its checkpoint and goes on. */
async function swap(part: Part): Promise<void> {
  await part.compactFromCheckpoint();
  await part.goOn();
}

/** The conversation compacts, from its checkpoint where there has to be one, and goes on to the next. */
async function swapOrNative(part: Part, blow: Blow): Promise<void> {
  const served = await part.compactSomehow();
  if (blow.summary) expect(served, 'the checkpoint was lost').to.equal(true);
  await recover(part, served);
}

/** A conversation whose compaction went to the API has a checkpoint again the next time. */
async function recover(part: Part, served: boolean): Promise<void> {
  await part.goOn();
  if (served) return;
  await part.checkpoint();
  await swap(part);
}

const IDLE: Moment = {
  name: 'IDLE',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    await struckTurn(part, blow);
    await part.checkpoint();
    await swap(part);
  },
};

const CHECKPOINTING: Moment = {
  name: 'CHECKPOINTING',
  calls: true,
  struck: 'request',
  async play(part, blow) {
    const [held, ...others] = blow.checkpoint;
    strikeCall(part, others);
    part.hold();
    await part.cross();
    expect(part.phase).to.equal('CHECKPOINTING');
    await struckTurn(part, blow);
    part.release(held);
    if (blow.summary) await part.checkpointed();
    await swapOrNative(part, blow);
  },
};

const WAL_ACTIVE: Moment = {
  name: 'WAL_ACTIVE',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    await part.checkpoint();
    expect(part.phase).to.equal('WAL_ACTIVE');
    await struckTurn(part, blow);
    await swap(part);
  },
};

const SWAP_READY: Moment = {
  name: 'SWAP_READY',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    await part.checkpoint();
    await part.fill();
    await struckTurn(part, blow);
    await swap(part);
  },
};

const SERVED: Moment = {
  name: 'compaction served',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    await part.checkpoint();
    await part.fill();
    strike(part, blow, 'auxiliary');
    // Something beside the conversation is struck while the compaction is answered here.
    await Promise.all([part.aside(), part.compactFromCheckpoint()]);
    part.expectStruck();
    await part.goOn();
  },
};

const WAITING: Moment = {
  name: 'compaction waiting',
  calls: true,
  struck: 'checkpoint',
  async play(part, blow) {
    const [held, ...others] = blow.checkpoint;
    strikeCall(part, others);
    part.hold();
    await part.cross();
    strike(part, blow, 'compaction'); // which it does only when the compaction goes to the API
    const coming = part.compactSomehow();
    await part.aside(); // a whole round trip: the compaction has arrived and waits
    await part.left();
    part.release(held);
    const served = await coming;
    if (blow.summary) expect(served, 'the checkpoint was lost').to.equal(true);
    else part.expectStruck();
    part.forgetFaults();
    await recover(part, served);
  },
};

const FORWARDED: Moment = {
  name: 'compaction forwarded',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    strike(part, blow, 'compaction');
    expect(await part.compactSomehow(), 'nothing could have been served').to.equal(false);
    part.expectStruck();
    await part.goOn();
    // The new history has a checkpoint of its own.
    await part.checkpoint();
    await swap(part);
  },
};

const AFTER_SWAP: Moment = {
  name: 'right after the swap',
  calls: false,
  struck: 'request',
  async play(part, blow) {
    await part.checkpoint();
    await part.fill();
    await part.compactFromCheckpoint();
    part.shrink();
    await struckTurn(part, blow);
    await part.goOn();
    // The next compaction has the new summary, not the old one.
    await part.checkpoint();
    await swap(part);
  },
};

/** The proxy's own call is struck as it begins, and the user goes on. */
export const CHECKPOINT_CALL: Moment = {
  name: 'checkpoint call',
  calls: true,
  struck: 'checkpoint',
  async play(part, blow) {
    strikeCall(part, blow.checkpoint);
    await part.cross();
    await part.struck();
    if (blow.summary) await part.checkpointed();
    else if (!blow.checkpoint.some(({ kind }) => kind === 'silence')) await part.callsEnded(1);
    await struckTurn(part, blow);
    await swapOrNative(part, blow);
  },
};

/** A checkpoint has aged, and a newer one is computed beside it: until that is there, the old one is served. */
const AGED: Moment = {
  name: 'a newer checkpoint',
  calls: true,
  struck: 'checkpoint',
  async play(part, blow) {
    await part.checkpoint();
    strikeCall(part, blow.checkpoint);
    await part.age();
    await part.struck();
    if (!blow.checkpoint.some(({ kind }) => kind === 'silence')) await part.callsEnded(2);
    await struckTurn(part, blow);
    await part.compactFromCheckpoint(blow.summary ? 2 : 1);
    await part.goOn();
  },
};

export const MOMENTS: readonly Moment[] = [
  IDLE,
  CHECKPOINTING,
  WAL_ACTIVE,
  SWAP_READY,
  SERVED,
  WAITING,
  FORWARDED,
  AFTER_SWAP,
  CHECKPOINT_CALL,
  AGED,
];
