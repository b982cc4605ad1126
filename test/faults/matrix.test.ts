/**
 * Every fault of the API at every moment of a conversation: alone, in pairs on one answer, and on the user's request and
 * the checkpoint call at once; and clients that hang up. After each the conversation goes on to its compaction, every
 * answer is judged, and the stage is looked over.
 */
import { expect } from 'chai';
import { bytesInUse } from '../support/heap.ts';
import { ALONE, BREAKING, MODIFYING, type Entry } from './catalogue.ts';
import { note } from './figures.ts';
import type { Leaving, Part } from './part.ts';
import { CHECKPOINT_CALL, MOMENTS, type Moment } from './phases.ts';
import { scenario } from './scenario.ts';
import { Chance } from './seed.ts';
import { Stage } from './stages.ts';

/** Scenarios after which everything that is made once has been made. */
const WARM = 60;
/**
 * What a conversation of some eleven requests of 30 KB may leave in memory: its actor, its checkpoint, its lines in the
 * log of this test: 18.3 and 18.7 KB in two runs. One request that is kept would be more.
 */
const KEPT_PER_SCENARIO = 28 * 1024;

const HANG_UPS: readonly Leaving[] = ['in the upload', 'before the head', 'in the stream'];

describe('faults of the API', () => {
  let stage: Stage;
  let neighbour: Part;
  let played = 0;
  /** After {@link WARM} scenarios. */
  let warm: { readonly held: number; readonly played: number } | undefined;

  async function open(): Promise<void> {
    stage = await Stage.open();
    // It begins like every other conversation here, and has a checkpoint: none of it may ever be served to them.
    neighbour = stage.part('neighbour');
    await neighbour.open();
    await neighbour.checkpoint();
    await stage.lookOver([neighbour]);
    warm = undefined;
  }
  before(open);
  after(() => stage.close());

  interface Faults {
    readonly request?: readonly Entry[];
    readonly checkpoint?: readonly Entry[];
    readonly leaving?: Leaving;
  }

  function play(moment: Moment, { request = [], checkpoint = [], leaving }: Faults): void {
    const told = [
      ...(leaving === undefined ? [] : [`the client hangs up ${leaving}`]),
      ...(request.length === 0 ? [] : [request.map(({ name }) => name).join(' + ')]),
      ...(checkpoint.length === 0 ? [] : [`checkpoint call: ${checkpoint.map(({ name }) => name).join(' + ')}`]),
    ];
    scenario(`${moment.name} × ${told.join(' × ')}`, async (chance) => {
      const part = stage.part(`part-${(played += 1)}`);
      try {
        await part.open();
        await moment.play(part, {
          request: request.map((entry) => entry.draw(chance)),
          checkpoint: checkpoint.map((entry) => entry.draw(chance)),
          summary: checkpoint.every(({ harmless }) => harmless),
          ...(leaving === undefined ? {} : { leaving }),
        });
        await stage.lookOver([neighbour]);
        if (played >= WARM) warm ??= { held: bytesInUse(), played };
      } catch (error) {
        // What is left of it must not fail the next one.
        await stage.close();
        await open();
        throw error;
      }
    });
  }

  /** A fault where this moment is most exposed: on the proxy's own call, or on the user's request. */
  const strike = (moment: Moment, faults: readonly Entry[]): void =>
    play(moment, moment.struck === 'checkpoint' ? { checkpoint: faults } : { request: faults });

  describe('alone, at every moment', () => {
    for (const moment of MOMENTS) for (const entry of ALONE) strike(moment, [entry]);
  });

  const chance = new Chance('pairs');

  describe('two that change one answer', () => {
    MODIFYING.forEach((one, at) => {
      for (const other of MODIFYING.slice(at + 1)) strike(chance.pick(MOMENTS), [one, other]);
    });
  });

  describe('one that changes and one that breaks an answer', () => {
    for (const breaking of BREAKING) {
      for (const modifying of MODIFYING) {
        // An upload that is cut off leaves no answer to be changed, and the proxy's own call is not repeated at once.
        const open = MOMENTS.filter(({ struck }) => struck === 'request' || !breaking.name.includes('upload'));
        strike(chance.pick(open), [modifying, breaking]);
      }
    }
  });

  describe('one on the request and one on the checkpoint call at once', () => {
    for (const request of BREAKING) {
      for (const moment of MOMENTS.filter(({ calls }) => calls)) {
        play(moment, { request: [request], checkpoint: [chance.pick(BREAKING)] });
      }
    }
    for (const checkpoint of BREAKING)
      play(CHECKPOINT_CALL, { request: [chance.pick(MODIFYING)], checkpoint: [checkpoint] });
  });

  describe('clients that hang up, and come again', () => {
    const slow: Entry = { name: 'slow', draw: () => ({ kind: 'slow', firstByteMs: 400 }), harmless: true };
    const dripping: Entry = { name: 'drip', draw: () => ({ kind: 'chunking', bytes: 30, delayMs: 4 }), harmless: true };
    for (const moment of MOMENTS) {
      for (const leaving of HANG_UPS) {
        if (moment.name !== 'compaction waiting') {
          const paces = { 'in the upload': [], 'before the head': [slow], 'in the stream': [dripping] };
          play(moment, { leaving, request: paces[leaving] });
        } else if (leaving !== 'in the stream') play(moment, { leaving }); // it is answered here, in one piece
      }
    }
  });

  // Last of all: mocha runs a suite's own tests before those of the suites in it.
  describe('all of them together', () => {
    it('leave nothing in memory', function () {
      if (warm === undefined || played < 2 * WARM) this.skip(); // only some scenarios were asked for
      const kept = (bytesInUse() - warm.held) / (played - warm.played);
      note(`${(kept / 1024).toFixed(1)} KB kept per scenario of the matrix`);
      expect(kept, 'bytes kept per scenario').to.be.below(KEPT_PER_SCENARIO);
    });
  });
});
