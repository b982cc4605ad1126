import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { worlds, type World } from '../launch/world.ts';

interface Found {
  readonly check: string;
  readonly verdict: string;
  readonly message: string;
  readonly remedy: string | null;
}

describe('claude-db-proxy proxy-doctor', function () {
  this.timeout(90_000);
  const open = worlds();

  async function examine(world: World, env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await world.ended(['proxy-doctor', '--json'], env);
    const found = JSON.parse(stdout) as Found[];
    const verdict = (check: string): string[] => found.filter((f) => f.check === check).map((f) => f.verdict);
    for (const { verdict: is, remedy } of found) expect(remedy === null).to.equal(is === 'well');
    // Node itself warns of certificates that it cannot read.
    expect(stderr.replace(/^(Warning: Ignoring extra certs|claude-db-proxy: looking around …).*\n/gm, '')).to.equal('');
    return { code, found, verdict };
  }

  it('finds everything well where it is, handshake, upstream and clock included', async () => {
    const world = await open();
    await world.ended(['start']);
    const { code, found } = await examine(world);
    expect(found.filter(({ verdict }) => verdict === 'fault')).to.deep.equal([]);
    expect(code).to.equal(0);
    const checks = ['settings', 'claude', 'shadows', 'data-directory', 'disk', 'runtime', 'proxy', 'ca', 'ca-trust'];
    expect(found.map(({ check }) => check)).to.include.members([...checks, 'upstream', 'clock']);
  });

  it('names what is broken, each with what to do', async () => {
    const world = await open({ claude: false });
    mkdirSync(join(world.home, '.claude'));
    writeFileSync(join(world.home, '.claude/settings.json'), '{"env": ');
    writeFileSync(join(world.home, '.claude.json'), '{"autoCompactEnabled": false}');
    const { code, verdict } = await examine(world, {
      PATH: world.bin,
      DBPROXY_UPSTREAM_URL: 'http://127.0.0.1:9',
      NODE_EXTRA_CA_CERTS: join(world.home, 'missing.pem'),
      ANTHROPIC_BASE_URL: 'https://gateway.example',
    });
    expect(code).to.equal(1);
    for (const check of ['claude', 'settings-files', 'upstream', 'shadows']) {
      expect(verdict(check), check).to.deep.equal(['fault']);
    }
    for (const check of ['auto-compact', 'ca-bundle', 'proxy'])
      expect(verdict(check), check).to.deep.equal(['warning']);
    expect((await examine(world, { DBPROXY_SWAP_THRESHOLD: '5' })).verdict('settings')).to.deep.equal(['fault']);
  });
});
