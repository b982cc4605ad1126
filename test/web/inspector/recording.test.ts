import { expect } from 'chai';
import { conversationMachine } from '../../../machines/conversation.ts';
import { readGraph } from '../../../src/dashboard/inspector/graph.ts';
import type { Recording } from '../../../web/contract.ts';
import { makeRecording, parseRecording, RecordingError } from '../../../web/inspector/recording.ts';

const recording: Recording = makeRecording(
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

/** The recording with `value` at `path`. */
function damaged(path: readonly (string | number)[], value: unknown): string {
  const copy = JSON.parse(JSON.stringify(recording)) as Record<string | number, unknown>;
  let at = copy;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1) ?? ''] = value;
  return JSON.stringify(copy);
}

describe('web/inspector/recording', () => {
  it('reads what it wrote', () => {
    expect(parseRecording(JSON.stringify(recording))).to.deep.equal(recording);
  });

  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['text that is not JSON', 'PK', /not JSON/],
    ['another JSON file', '{"format":"har"}', /not a recording/],
    ['an array', '[]', /not a recording/],
    ['a later version', damaged(['version'], 2), /version 2; this page reads version 1/],
    ['invalid statecharts', damaged(['machines', 'conversation', 'nodes'], 'x'), /statecharts/],
    ['an edge to an unknown state', damaged(['machines', 'conversation', 'edges', 0, 'target'], 'x'), /statecharts/],
    ['a state before its parent', damaged(['machines', 'conversation', 'nodes', 1, 'parent'], 'x'), /statecharts/],
    ['actors without a session', damaged(['actors', 0, 'session'], 4), /actors/],
    ['an unknown kind of record', damaged(['records', 0, 'kind'], 'x'), /records/],
    ['a payload with an object', damaged(['records', 0, 'payload', 'to'], { a: 1 }), /records/],
    ['records that are not a list', damaged(['records'], {}), /records/],
  ];
  for (const [what, text, message] of refused) {
    it(`rejects ${what} with a reason`, () => {
      expect(() => parseRecording(text)).to.throw(RecordingError, message);
    });
  }
});
