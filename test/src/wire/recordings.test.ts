/**
 * The lineage on what the real client sent: seven versions of Claude Code, recorded in front of a simulated API. Long
 * texts are cut, the same for equal ones (`about` in each file says how); everything else is as it was on the wire.
 */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { continuationText, readCompaction } from '../../../src/wire/compaction.ts';
import { coveredBlocks, lineageSteps, messagesAfter, fullPrefix, type Lineage } from '../../../src/wire/lineage.ts';
import {
  readMessageRequest,
  type History,
  type Message,
  type MessageRequest,
} from '../../../src/wire/message-request.ts';
import { readClientHeaders } from '../../../src/wire/identity.ts';
import { requestBody } from '../../support/histories.ts';

interface Recorded {
  /** Its number in the session. */
  readonly n: number;
  /** What it was, as the one who recorded it knows: by what the client was made to do. */
  readonly kind: 'main' | 'subagent' | 'compaction' | 'auxiliary' | 'warmup';
  /** `x-claude-code-request-class`, where the client sent it. */
  readonly class?: string;
  readonly agent?: string;
  readonly compacted?: string;
  /** Places in `messages`, e.g. `0-4 7`. */
  readonly messages: string;
}

interface Fixture {
  readonly scenarios: Readonly<
    Record<string, { readonly requests: readonly Recorded[]; readonly messages: readonly Message[] }>
  >;
}

interface Read {
  readonly recorded: Recorded;
  readonly request: MessageRequest;
  readonly history: History;
  readonly lineage: Lineage;
  /** The request that this one begins with the whole of: of several the longest, of these the last. */
  readonly extended: Recorded | null;
}

const VERSIONS = ['1.0.128', '2.0.76', '2.1.63', '2.1.112', '2.1.200', '2.1.280', '2.1.330'];

const load = (version: string): Fixture =>
  JSON.parse(readFileSync(new URL(`../../fixtures/lineage/${version}.json`, import.meta.url), 'utf8')) as Fixture;

function chainOf(history: History): Lineage {
  const steps = lineageSteps(history);
  for (;;) {
    const step = steps.next();
    if (step.done !== true) continue;
    if (step.value === null) throw new Error('a recorded message was not understood');
    return step.value;
  }
}

const classOf = (recorded: Recorded) =>
  readClientHeaders(recorded.class === undefined ? [] : ['x-claude-code-request-class', recorded.class]).class;

/** Reads a session request by request, as the proxy does. */
function readSession(scenario: Fixture['scenarios'][string]): Read[] {
  const session: Read[] = [];
  for (const recorded of scenario.requests) {
    const messages = recorded.messages.split(' ').flatMap((run) => {
      const [from = '', to = from] = run.split('-');
      return scenario.messages.slice(Number(from), Number(to) + 1);
    });
    const request = readMessageRequest(requestBody(messages));
    if (request === null) throw new Error(`request ${recorded.n} was not understood`);
    const history = readCompaction(request, classOf(recorded))?.history ?? request;
    const lineage = chainOf(history);
    let extended: Read | null = null;
    for (const known of session) {
      if (known.recorded.kind === 'auxiliary' || known.recorded.kind === 'warmup') continue;
      if (known.lineage.length < (extended?.lineage.length ?? 1)) continue;
      if (coveredBlocks(lineage, fullPrefix(known.lineage)) > 0) extended = known;
    }
    session.push({ recorded, request, history, lineage, extended: extended?.recorded ?? null });
  }
  return session;
}

/** Compactions of a whole history other than the one of the conversation's last turn (FINDINGS of the recordings). */
const BACK: Readonly<Record<string, string>> = {
  '1.0.128 long 19': 'the second /compact asks for a summary of all that was ever said',
  '2.1.330 reactive 5': 'after an error the client cuts rounds off the end',
};

for (const version of VERSIONS) {
  describe(`requests of Claude Code ${version}`, () => {
    const fixture = load(version);
    for (const [name, scenario] of Object.entries(fixture.scenarios)) {
      const session = readSession(scenario);
      const turns = session.filter(({ recorded }) => recorded.kind === 'main' || recorded.kind === 'subagent');
      const compactions = session.filter(({ recorded }) => recorded.kind === 'compaction');
      /** The turn of the same agent before a request. */
      const before = ({ recorded }: Read): Recorded | undefined =>
        turns.findLast(
          ({ recorded: { n, agent, kind } }) =>
            n < recorded.n && agent === recorded.agent && (kind === 'subagent') === (recorded.agent !== undefined),
        )?.recorded;

      it(`${name}: every turn goes on from the one before, or begins a history`, () => {
        expect(turns.length).to.be.greaterThan(2);
        for (const turn of turns) {
          const fresh =
            before(turn) === undefined || turn.recorded.kind === 'subagent' || continuationText(turn.request) !== null;
          const where = `request ${turn.recorded.n}`;
          if (turn.extended === null) expect(fresh, where).to.equal(true);
          else expect(turn.extended.n, where).to.equal(before(turn)?.n);
        }
      });

      it(`${name}: every compaction is known, and begins with a turn before it`, () => {
        for (const { recorded, request } of session) {
          const where = `request ${recorded.n}`;
          const compaction = readCompaction(request, classOf(recorded));
          expect(compaction?.kind ?? null, where).to.equal(recorded.kind === 'compaction' ? 'whole' : null);
        }
        expect(compactions.length).to.be.greaterThan(
          name === 'resume' || name === 'queued' || name === 'setmodel' ? -1 : 0,
        );
        for (const compaction of compactions) {
          const where = `${version} ${name} ${compaction.recorded.n}`;
          expect(compaction.extended, where).not.to.equal(null);
          if (where in BACK) expect(compaction.extended?.n, where).to.be.lessThan(before(compaction)?.n ?? 0);
          else expect(compaction.extended?.n, where).to.equal(before(compaction)?.n);
        }
      });

      it(`${name}: a checkpoint of any turn covers of a compaction just what it holds, and the rest is what follows`, () => {
        for (const compaction of compactions) {
          for (const turn of turns) {
            const count = coveredBlocks(compaction.lineage, fullPrefix(turn.lineage));
            if (count === 0) continue;
            expect(count).to.equal(turn.lineage.length);
            const rest = messagesAfter(compaction.history, compaction.lineage, count);
            expect(rest.length).to.be.at.most(compaction.history.length - turn.request.length + 1);
          }
        }
      });
    }
  });
}
