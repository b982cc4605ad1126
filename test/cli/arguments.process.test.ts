import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { SETTINGS } from '../../src/config/settings.ts';
import { VERSION } from '../../src/version.ts';
import { newDataDir } from '../src/forwarder/quick-rig.ts';
import { portOf } from '../src/redirector/sockets.ts';
import { run } from './child.ts';

describe('claude-db-proxy', function () {
  this.timeout(15_000);
  let dataDir: string;
  before(async () => {
    dataDir = await newDataDir();
  });
  after(() => rmSync(dataDir, { recursive: true, force: true }));

  it('tells its version and its commands', async () => {
    const [version, help] = await Promise.all([run(['proxy-version']), run(['proxy-help'])]);
    expect([version.code, version.stdout.trim(), version.stderr]).to.deep.equal([0, VERSION, '']);
    expect([help.code, help.stderr]).to.deep.equal([0, '']);
    expect(help.stdout).to.include('serve').and.to.include('demo');
    for (const { name } of Object.values(SETTINGS)) expect(help.stdout).to.match(new RegExp(`^  ${name} +\\S`, 'm'));
  });

  it('refuses a setting that cannot be used with one line: variable, value, what is allowed', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const port = String(portOf(taken));
    writeFileSync(join(dataDir, 'file'), '');
    const cases: readonly (readonly [Record<string, string>, variable: string, value: string, allowed: RegExp])[] = [
      [
        { DBPROXY_SWAP_THRESHOLD: '0.8', DBPROXY_CHECKPOINT_THRESHOLD: '0.8' },
        'CHECKPOINT_THRESHOLD',
        '0.8',
        /below DBPROXY_SWAP/,
      ],
      [{ DBPROXY_PROXY_PORT: port }, 'PROXY_PORT', port, /in use.*free port/],
      [{ DBPROXY_DATA_DIR: join(dataDir, 'file') }, 'DATA_DIR', join(dataDir, 'file'), /director/],
    ];
    const base = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0', DBPROXY_DATA_DIR: dataDir };
    await Promise.all(
      cases.map(async ([env, variable, value, allowed]) => {
        const { code, stderr } = await run(['serve'], { ...base, ...env });
        expect(code, variable).to.be.above(0);
        expect(stderr.trimEnd().split('\n'), variable).to.have.length(1);
        expect(stderr).to.include(`DBPROXY_${variable}=${value}`).and.to.match(allowed);
      }),
    );
    taken.close();
  });
});
