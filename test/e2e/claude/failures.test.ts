/** A checkpoint that cannot be had: the user has the API's own compaction, as ever, and is told of no error. */
import { expect } from 'chai';
import type { Answer } from '../../../src/simulated-api/index.ts';
import { describeWithClaude } from './claude.ts';
import { labs } from './lab.ts';
import { kindOf } from './requests.ts';
import { PAST_CHECKPOINT, PAST_SWAP, says } from './script.ts';
import { expectGoesOnFromApi } from './stories.ts';

const FAILURES: readonly (readonly [what: string, answer: Answer])[] = [
  ['meets a rate limit', { fault: { kind: 'status', status: 429, retryAfter: 60 } }],
  ['meets an overloaded API', { fault: { kind: 'status', status: 529 } }],
  ['is refused', { fault: { kind: 'status', status: 400, message: 'REFUSED-CHECKPOINT' } }],
  ['is too long', { fault: { kind: 'prompt_too_long' } }],
  ['gets a tool call', { blocks: [{ type: 'tool_use', name: 'Bash', input: { command: 'echo CALLED' } }] }],
  ['gets an empty answer', { blocks: [] }],
  ['loses its connection', { fault: { kind: 'disconnect', at: 'mid_stream' } }],
];

describeWithClaude('a checkpoint call that fails', () => {
  const start = labs();

  for (const [what, answer] of FAILURES) {
    it(`because it ${what} leaves the client with the API’s own compaction`, async () => {
      const lab = await start();
      const client = lab.client();
      lab.script.checkpoint = answer;
      await lab.turn(client, 'PROMPT-ONE', says('ANSWER-ONE'));
      await lab.turn(client, 'PROMPT-TWO', says('ANSWER-TWO', PAST_CHECKPOINT));
      await lab.api.waitFor((request) => kindOf(request) === 'checkpoint' && request.outcome !== 'open');
      await lab.turn(client, 'PROMPT-THREE', says('ANSWER-THREE', PAST_SWAP));
      const turn = await lab.turn(client, 'PROMPT-FOUR', says('ANSWER-FOUR'));
      expect(turn.compactions.map((compaction) => compaction.trigger)).to.deep.equal(['auto']);
      expect(turn.text).to.equal('ANSWER-FOUR');
      expect(lab.of('compaction')).to.have.length(1);
      expectGoesOnFromApi(lab, { kept: [], gone: ['PROMPT-ONE'], pending: 'PROMPT-FOUR' });
      const printed = JSON.stringify(client.lines);
      expect(printed).not.to.match(/api_retry|compact_error|REFUSED-CHECKPOINT|CALLED|claude-db-proxy/);
      await client.end();
    });
  }
});
