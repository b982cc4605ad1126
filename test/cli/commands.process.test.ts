import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { ScriptedClient } from '../../src/demo/scripted-client.ts';
import { VERSION } from '../../src/version.ts';
import { eventually, lives, worlds, type World } from './launch/world.ts';

/** Of 180,000 tokens that count, 63 %. */
const USED = 113_400;

describe('the commands', function () {
  this.timeout(90_000);
  const open = worlds();

  /** Says one thing in a session of its own, through the proxy that runs. */
  async function talk(world: World, promptTokens = USED): Promise<string> {
    world.api.respondWith(() => ({ promptTokens, text: 'Yes.' }));
    const ca = readFileSync(world.layout.ca, 'utf8');
    const client = new ScriptedClient({ proxy: `http://127.0.0.1:${world.record?.ports.proxy ?? 0}`, ca });
    await client.say('canary-words');
    await client.close();
    return client.session;
  }

  it('start and stop the proxy, and say so, once and again', async () => {
    const world = await open();
    const started = await world.ended(['start']);
    expect([started.code, started.stdout]).to.satisfy(([code]: unknown[]) => code === 0);
    expect(started.stdout).to.match(/^The proxy is running \(node, process \d+\)\.\n.*HTTPS_PROXY.*\n.*dashboard/);
    const { pid } = world;
    expect((await world.ended(['proxy-start'])).stdout).to.include('was running already');
    expect(world.pid).to.equal(pid);
    const stopped = await world.ended(['stop']);
    expect([stopped.code, stopped.stdout]).to.deep.equal([0, `The proxy is stopped (node, process ${pid}).\n`]);
    expect(lives(pid)).to.equal(false);
    expect((await world.ended(['proxy-stop'])).stdout).to.equal('The proxy was not running.\n');
  });

  it('tell the status, for people and for programs', async () => {
    const world = await open();
    const off = await world.ended(['status']);
    expect([off.code, off.stdout]).to.deep.equal([
      3,
      '○ The proxy is not running. It starts with claude, or with: claude-db-proxy start\n',
    ]);
    expect(JSON.parse((await world.ended(['status', '--json'])).stdout)).to.include({ running: false });
    await world.ended(['start']);
    const session = await talk(world);
    const text = await world.ended(['proxy-status']);
    expect(text.code).to.equal(0);
    expect(text.stdout)
      .to.match(/since .*\n *runtime +node, process \d+\n *version/)
      .and.to.match(new RegExp(`IDLE +63 % +${session}`))
      // eslint-disable-next-line no-control-regex
      .and.not.to.match(/\u001b/);
    const json = JSON.parse((await world.ended(['status', '--json'])).stdout) as Record<string, unknown>;
    expect(json).to.deep.include({
      running: true,
      runtime: 'node',
      version: VERSION,
      pid: world.pid,
      ports: world.record?.ports,
      since: world.record?.since,
      savedMs: 0,
    });
    const [conversation] = json['conversations'] as Record<string, unknown>[];
    expect(conversation).to.include({ id: session, phase: 'IDLE' });
    expect(conversation?.['utilisation']).to.be.closeTo(0.63, 0.001);
    expect(conversation?.['used']).to.be.at.least(USED);
  });

  it('tell the history, for people and for programs', async () => {
    const world = await open();
    const off = await world.ended(['history']);
    expect([off.code, off.stdout]).to.deep.equal([1, '']);
    expect(off.stderr).to.match(/not running/);
    await world.ended(['start']);
    world.api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 150_000 }));
    const ca = readFileSync(world.layout.ca, 'utf8');
    const client = new ScriptedClient({ proxy: `http://127.0.0.1:${world.record?.ports.proxy ?? 0}`, ca });
    while ((await client.say('More.')).headers['x-double-buffer-phase'] !== 'SWAP_READY');
    await client.compact();
    await client.close();
    const text = await world.ended(['proxy-history']);
    expect([text.code, text.stderr]).to.deep.equal([0, '']);
    expect(text.stdout)
      .to.match(/compactions +1: 1 served instantly, 0 by the API\n/)
      .and.to.match(new RegExp(`${client.session.slice(0, 12)} .* the proxy\\n`));
    const json = JSON.parse((await world.ended(['history', '--json'])).stdout) as Record<string, object[]>;
    expect(json['compactions']?.[0]).to.include({ conversation: client.session, outcome: 'served' });
    expect((await world.ended(['history', '-n', '0'])).stderr).to.match(/--number 0: must be/);
  });

  it('show the log, readable or raw, and go on with it', async () => {
    const world = await open();
    const none = await world.ended(['logs']);
    expect([none.code, none.stderr]).to.satisfy(([code]: unknown[]) => code === 1);
    expect(none.stderr).to.match(/^claude-db-proxy: there is no log yet/);
    await world.ended(['start']);
    const raw = await world.ended(['logs', '--json', '-n', '1000']);
    expect(raw.stdout).to.equal(readFileSync(world.layout.log, 'utf8'));
    const readable = await world.ended(['proxy-logs']);
    expect(readable.stdout).to.match(/^\d\d:\d\d:\d\d INFO {2}proxy\.started .*version=/m);
    const following = world.run(['logs', '-f', '-n', '1']);
    await eventually(() => (following.stdout.includes('\n') ? true : null), 'the last line was not shown');
    await talk(world, 150_000);
    await eventually(() => (following.stdout.includes('phase.changed') ? true : null), 'nothing more was shown');
    expect(following.stdout).not.to.include('canary');
  });

  it("print the dashboard's address with its token", async () => {
    const world = await open();
    const off = await world.ended(['dashboard']);
    expect([off.code, off.stdout]).to.deep.equal([1, '']);
    expect(off.stderr).to.match(/not running.*claude-db-proxy start/);
    await world.ended(['start']);
    const token = readFileSync(world.layout.token, 'utf8').trim();
    expect(token).to.match(/^[\w-]{43}$/);
    const { code, stdout } = await world.ended(['dashboard']);
    const port = world.record?.ports.dashboard ?? 0;
    expect([code, stdout]).to.deep.equal([0, `https://localhost:${port}/dashboard?token=${token}\n`]);
  });

  it('open it where there is a browser, and say so where there is none', async () => {
    const world = await open();
    await world.ended(['start']);
    const opened = join(world.home, 'opened');
    const opener = join(world.bin, process.platform === 'darwin' ? 'open' : 'xdg-open');
    writeFileSync(opener, `#!/bin/sh\nprintf %s "$1" >'${opened}'\n`);
    chmodSync(opener, 0o755);
    const { code, stdout } = await world.ended(['dashboard', '--open']);
    expect([code, readFileSync(opened, 'utf8')]).to.deep.equal([0, stdout.trimEnd()]);
    writeFileSync(opener, '#!/bin/sh\nexit 4\n');
    const failed = await world.ended(['dashboard', '--open']);
    expect(failed.code).to.equal(1);
    expect(failed.stderr).to.match(/no browser could be opened/);
  });

  it('help with ours only', async () => {
    const world = await open();
    const { code, stdout } = await world.ended(['proxy-help']);
    expect(code).to.equal(0);
    const words = ['status', 'start', 'stop', 'logs', 'dashboard', 'serve', 'uninstall', 'statusline'];
    for (const word of [...words, 'proxy-update', 'proxy-doctor', 'demo']) expect(stdout).to.include(word);
    expect(await world.ended(['--help'])).to.include({ code: 0, stdout: '' });
    expect(world.start.args, "claude's help is claude's").to.deep.equal(['--help']);
  });

  it('refuse what cannot be with one line', async () => {
    const world = await open();
    for (const [args, env, says] of [
      [['status'], { DBPROXY_PROXY_PORT: 'x' }, /DBPROXY_PROXY_PORT=x/],
      [['start'], { DBPROXY_RUNTIME: 'lxc' }, /DBPROXY_RUNTIME=lxc/],
      [['logs', '-n', 'many'], {}, /--lines many/],
    ] as const) {
      const { code, stderr } = await world.ended(args, env);
      expect(code, args.join(' ')).to.be.above(0);
      expect(stderr).to.match(says);
      expect(stderr.trimEnd().split('\n'), stderr).to.have.length(1);
    }
  });
});
