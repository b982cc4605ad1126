import { expect } from 'chai';
import { conversationMachine } from '../../../machines/conversation.ts';
import { readGraph } from '../../../src/dashboard/inspector/graph.ts';
import type { Recording } from '../../../web/contract.ts';
import { makeRecording, parseRecording, RecordingError } from '../../../web/inspector/recording.ts';

const whole: Recording = makeRecording(
  {
    version: '0.1.0',
    machines: { conversation: readGraph(conversationMachine).graph },
    actors: [{ session: 'x:1', id: 'a', parent: null, machine: null, kind: 'promise', status: 'active', states: [] }],
    records: [
      {
        kind: 'event',
        seq: 1,
        at: 5,
        sender: null,
        receiver: 'x:1',
        type: 'went',
        payload: { to: ['a', 'b'], times: 2, last: null },
        before: [],
        after: [],
        edges: [],
        context: {},
      },
      { kind: 'ended', seq: 2, at: 6, session: 'x:1', status: 'done' },
    ],
  },
  7,
);

/** The recording with something else at `path`. */
function damaged(path: readonly (string | number)[], value: unknown): string {
  const copy = JSON.parse(JSON.stringify(whole)) as Record<string | number, unknown>;
  let at = copy;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1) ?? ''] = value;
  return JSON.stringify(copy);
}

describe('web/inspector/recording', () => {
  it('reads what it wrote', () => {
    expect(parseRecording(JSON.stringify(whole))).to.deep.equal(whole);
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['what is no JSON', 'PK', /not JSON/],
    ['another JSON file', '{"format":"har"}', /not a recording/],
    ['an array', '[]', /not a recording/],
    ['a later version', damaged(['version'], 2), /version 2; this page reads version 1/],
    ['statecharts that are none', damaged(['machines', 'conversation', 'nodes'], 'x'), /statecharts/],
    ['an arrow to nowhere', damaged(['machines', 'conversation', 'edges', 0, 'target'], 'x'), /statecharts/],
    [
      'a state inside one that comes later',
      damaged(['machines', 'conversation', 'nodes', 1, 'parent'], 'x'),
      /statecharts/,
    ],
    ['actors without a session', damaged(['actors', 0, 'session'], 4), /actors/],
    ['an unknown kind of record', damaged(['records', 0, 'kind'], 'x'), /records/],
    ['a payload with objects in it', damaged(['records', 0, 'payload', 'to'], { a: 1 }), /records/],
    ['records that are no list', damaged(['records'], {}), /records/],
  ];
  for (const [what, text, message] of refused) {
    it(`refuses ${what}, and says why`, () => {
      expect(() => parseRecording(text)).to.throw(RecordingError, message);
    });
  }
});
