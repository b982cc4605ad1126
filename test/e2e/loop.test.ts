import { expect } from 'chai';
import { FULL, LARGE, openStage, SMALL, type Stage } from './flows.ts';

describe('a conversation that is compacted and full again at once', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  for (const [who, words] of [
    ['us', ''],
    ['the API', 'keep the lexer'],
  ] as const) {
    it(`by ${who} is left to the API until it is below the threshold again`, async () => {
      const client = await stage.checkpointed();
      const first = await client.compact(words === '' ? 'auto' : 'manual', words);
      expect(first.headers['x-double-buffer-served']).to.equal(words === '' ? 'checkpoint' : undefined);
      const forwarded = words === '' ? 0 : 1;
      stage.size(client, FULL);
      await client.say('Read all of it again.');
      await stage.told(client, 'compaction.loop');
      const second = await client.compact();
      expect(second.status).to.equal(200);
      expect(second.headers['x-double-buffer-served']).to.equal(undefined);
      expect((await stage.told(client, 'compaction.forwarded', forwarded + 1))['reason']).to.equal('loop');
      expect(stage.compactions(client)).to.have.length(forwarded + 1);
      await client.say('And again.');
      expect((await client.say('Still?')).status).to.equal(200);
      expect(stage.checkpointCalls(client), 'none but the first').to.have.length(1);

      stage.size(client, SMALL);
      await client.compact();
      await client.say('Less now.');
      await stage.told(client, 'compaction.loop_ended');
      await client.say('And a little more.');
      stage.size(client, LARGE);
      await client.say('And much more.');
      await stage.told(client, 'checkpoint.completed', 2);
      expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
    });
  }

  it('is no concern of passthrough', async () => {
    const plain = await openStage({ DBPROXY_PASSTHROUGH: 'true' });
    try {
      const client = plain.client();
      plain.size(client, FULL);
      for (let cycle = 0; cycle < 3; cycle += 1) {
        await client.say(`Full, ${cycle}.`);
        await client.compact();
      }
      expect((await plain.told(client, 'compaction.forwarded', 3))['reason']).to.equal('passthrough');
      const ours = plain.log.filter(({ event }) => /^(compaction\.loop|checkpoint|breaker)/.test(event));
      expect(ours).to.deep.equal([]);
    } finally {
      await plain.close();
    }
  });
});
