import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { joined, lineText } from '../../../cli/status-line/line-text.ts';
import { ScriptedClient } from '../../../src/demo/scripted-client.ts';
import { worlds, type World } from '../launch/world.ts';

const known = (phase: 'IDLE' | 'CHECKPOINTING' | 'WAL_ACTIVE' | 'SWAP_READY', passthrough = false) =>
  lineText({ answer: { phase, utilisation: 0.634, passthrough }, throughUs: true, hasSpoken: true });

describe('the status line', () => {
  it('says how full the context is, and what is being done about it', () => {
    expect(known('IDLE')).to.equal('◈ DB_PROXY_ON 63%');
    expect(known('CHECKPOINTING')).to.equal('◈ DB_PROXY_ON 63% checkpointing…');
    expect(known('WAL_ACTIVE')).to.equal('◈ DB_PROXY_ON 63% ready');
    expect(known('SWAP_READY')).to.equal('◈ DB_PROXY_ON 63% ready');
    expect(known('CHECKPOINTING', true)).to.equal('◈ DB_PROXY_ON passthrough');
  });

  it('says nothing of a session that does not run through us', () => {
    expect(lineText({ answer: null, throughUs: true, hasSpoken: false })).to.equal('◈ DB_PROXY_ON');
    expect(lineText({ answer: null, throughUs: true, hasSpoken: true })).to.equal('');
    expect(lineText({ answer: null, throughUs: false, hasSpoken: false })).to.equal('');
  });

  it('stands behind the one that the user has', () => {
    expect(joined('main ✓\n', 'OURS')).to.equal('main ✓  OURS');
    expect(joined('', 'OURS')).to.equal('OURS');
    expect(joined('main ✓\n', '')).to.equal('main ✓');
  });

  describe('as a command', function () {
    this.timeout(90_000);
    const open = worlds();

    const line = async (world: World, input: string, env: Record<string, string> = {}): Promise<string> => {
      const run = world.run(['statusline'], env);
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
      writeFileSync(world.layout.install, JSON.stringify(record));
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
});
