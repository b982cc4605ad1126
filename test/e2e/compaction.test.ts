import { expect } from 'chai';
import { startRig, type Rig } from '../support/rig.ts';

describe('a compaction, end to end over real sockets', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await startRig();
  });
  afterEach(() => rig.close());

  it('is answered from the checkpoint, without a call to the API', async () => {
    const client = rig.client();
    rig.api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 130_000 }));
    await client.say('Please fix the parser.');
    await rig.logged('checkpoint.completed');
    const second = await client.say('And the lexer, in src/lexer.ts.');
    expect(second.headers['x-double-buffer-phase']).to.equal('WAL_ACTIVE');
    const before = rig.api.messages.length;
    const compacted = await client.compact();
    expect(compacted.status).to.equal(200);
    expect(compacted.headers['x-double-buffer-served']).to.equal('checkpoint');
    expect(rig.api.messages.length).to.equal(before);
    expect(compacted.text).to.include('And the lexer, in src/lexer.ts.').and.to.include('SIMULATED-SUMMARY');
    const next = await client.say('go on');
    expect(next.status).to.equal(200);
    expect((await rig.logged('history.replaced'))['confirmed']).to.equal(true);
  });
});
