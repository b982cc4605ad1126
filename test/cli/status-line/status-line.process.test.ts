import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { worlds, type World } from '../launch/world.ts';

for (const how of ['launcher', 'program'] as const)
  describe(`claude-db-proxy statusline, by the ${how}`, function () {
    this.timeout(90_000);
    const open = worlds();

    const line = async (world: World, input: string, env: Record<string, string> = {}): Promise<string> => {
      const run = world.run(['statusline'], env, world[how]);
      run.process.stdin.end(input);
      const { code, stdout, stderr } = await run.ended;
      expect([code, stderr]).to.deep.equal([0, '']);
      return stdout;
    };

    it('asks the proxy for the session, and runs the command that was there before', async () => {
      const world = await open();
      await world.ended(['start']);
      world.api.respondWith(() => ({ promptTokens: 90_000, text: 'Yes.' }));
      const url = `http://127.0.0.1:${world.record?.ports.proxy ?? 0}`;
      const client = new ScriptedClient({ proxy: url, ca: readFileSync(world.layout.ca, 'utf8') });
      await client.say('Hello.');
      await client.close();
      const input = JSON.stringify({ session_id: client.session, cost: { total_api_duration_ms: 5 } });
      const env = { HTTPS_PROXY: url };
      expect(await line(world, input, env)).to.equal('◈ DB_PROXY_ON 50%\n');
      expect(await line(world, JSON.stringify({ session_id: 'new' }), env)).to.equal('◈ DB_PROXY_ON\n');
      const record = { runtime: 'node', statusLineBefore: 'printf "theirs "; wc -c; exit 3' };
      writeFileSync(world.layout.install, JSON.stringify(record, null, 2));
      const length = String(input.length);
      expect((await line(world, input, env)).replace(/ +/g, ' ')).to.equal(`theirs ${length} ◈ DB_PROXY_ON 50%\n`);
    });

    it('never fails: no proxy, no JSON, no settings', async () => {
      const world = await open();
      expect(await line(world, JSON.stringify({ session_id: 's' }))).to.equal('');
      for (const input of ['', '{', 'null', '[]', '{"session_id":5}']) expect(await line(world, input)).to.equal('');
      expect(await line(world, '{"session_id":"s"}', { DBPROXY_PROXY_PORT: 'none' })).to.equal('');
    });
  });
