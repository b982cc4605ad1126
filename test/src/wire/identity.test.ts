import { expect } from 'chai';
import fc from 'fast-check';
import { readClientHeaders, sessionOfUserId } from '../../../src/wire/identity.ts';

const SESSION = '9327770a-2e2f-4398-be7f-e457ceb5277f';

describe('who is speaking', () => {
  it('stands in the headers of today’s client', () => {
    const labels = readClientHeaders([
      ...['X-Claude-Code-Session-Id', SESSION, 'x-claude-code-agent-id', 'ad077ce8adab61bae'],
      ...['x-claude-code-request-class', 'subagent', 'x-claude-code-context-compacted', 'auto'],
    ]);
    expect(labels).to.deep.equal({
      session: SESSION,
      agent: 'ad077ce8adab61bae',
      parentAgent: null,
      class: 'turn',
      compacted: true,
    });
  });

  it('is unknown without headers, and with empty ones', () => {
    const nobody = { session: null, agent: null, parentAgent: null, class: 'unknown', compacted: false };
    expect(readClientHeaders([])).to.deep.equal(nobody);
    const empty = ['x-claude-code-session-id', '', 'x-claude-code-agent-id', '', 'x-claude-code-request-class', ''];
    expect(readClientHeaders(empty)).to.deep.equal(nobody);
  });

  for (const [value, expected] of [
    ['main', 'turn'],
    ['subagent', 'turn'],
    ['workflow', 'turn'],
    [' Main ', 'turn'],
    ['compaction', 'compaction'],
    ['auxiliary', 'auxiliary'],
    ['side_reply', 'auxiliary'],
    ['something-new', 'auxiliary'],
    ['constructor', 'auxiliary'],
  ] as const) {
    it(`takes the class ${value} for ${expected}`, () => {
      expect(readClientHeaders(['x-claude-code-request-class', value]).class).to.equal(expected);
    });
  }

  for (const [what, userId, session] of [
    ['a JSON user id (2.1.330)', JSON.stringify({ device_id: 'd', account_uuid: '', session_id: SESSION }), SESSION],
    ['an old user id (1.0.128)', `user_1fac7d7633cd_account__session_${SESSION}`, SESSION],
    ['an old user id with an account', `user_1fac7d_account_2c0f-11_session_${SESSION}`, SESSION],
    ['an old user id with the marker twice', `user_a_session_b_account_c_session_${SESSION}`, SESSION],
    ['a JSON user id without session', '{"device_id":"d"}', null],
    ['a JSON user id with an empty session', '{"session_id":""}', null],
    ['a JSON user id with a session of another kind', '{"session_id":5}', null],
    ['broken JSON', '{"session_id":"', null],
    ['an old user id without session', 'user_1fac7d_account_2c0f', null],
    ['an old user id with an empty session', 'user_1fac7d_account_2c0f_session_', null],
    ['no user id', null, null],
    ['an empty user id', '', null],
    ['another tool’s user id', 'somebody@example.com', null],
  ] as const) {
    it(`finds ${session === null ? 'no session' : 'the session'} in ${what}`, () => {
      expect(sessionOfUserId(userId)).to.equal(session);
    });
  }

  it('never throws, whatever the user id', () => {
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc.string().map((rest) => `{${rest}`),
      fc.string().map((rest) => `_session_${rest}`),
    );
    fc.assert(
      fc.property(anything, (userId) => {
        const session = sessionOfUserId(userId);
        expect(session === null || session !== '').to.equal(true);
      }),
      { seed: 20260731, numRuns: 300 },
    );
  });
});
