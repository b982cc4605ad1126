import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { json } from '../launcher/host.ts';
import { VERSION } from '../../src/version.ts';
import { Machine, picture, Release, ROOT, type Ended } from './machine.ts';

const SETTINGS = '.claude/settings.json';
const STATUS_LINE = { type: 'command', command: '' };

/** The lines that begin with our name: messages, as against progress. */
const messages = ({ stderr }: Ended): readonly string[] =>
  stderr.split('\n').filter((line) => line.startsWith('claude-db-proxy: '));

describe('the installer', function () {
  this.timeout(180_000);
  let release: Release;
  let machine: Machine;
  before(async () => {
    release = await Release.publish();
  });
  after(() => release.close());
  afterEach(() => machine.remove());

  describe('from a release, with Node', () => {
    it('installs, works in every command, and is gone without a trace', async () => {
      machine = new Machine();
      machine.program(
        'claude',
        `printf '%s\\n' "$@"; env | grep -E '^(HTTPS_PROXY|NODE_EXTRA_CA_CERTS)='; cat; exit 3`,
      );
      machine.file('.bashrc', '# mine\n');
      machine.file('.local/share/other/kept', 'x');
      const before = machine.picture();

      const installed = await machine.pipe(release);
      expect([installed.code, installed.stderr]).to.deep.equal([0, '']);
      expect(installed.stdout).to.include(`claude-db-proxy ${VERSION} is installed (runtime: node).`);
      expect(installed.stdout).to.include(`echo "alias claude='claude-db-proxy'" >> ~/.bashrc`);
      expect(json(join(machine.home, SETTINGS))).to.deep.equal({
        statusLine: { ...STATUS_LINE, command: `'${join(machine.home, '.local/bin/claude-db-proxy')}' statusline` },
      });
      expect(statSync(machine.dataDir).mode & 0o777).to.equal(0o700);

      const launched = await machine.proxy(['-p', 'a question'], { input: 'stdin' });
      const { ports } = json(join(machine.dataDir, 'runtime.json')) as { ports: { proxy: number; dashboard: number } };
      expect(launched.code).to.equal(3);
      expect(launched.stdout.split('\n')).to.include.members([
        ...['-p', 'a question', `HTTPS_PROXY=http://127.0.0.1:${ports.proxy}`, 'stdin'],
      ]);
      expect(launched.stderr).to.equal(`◈ DB_PROXY_ON  https://localhost:${ports.dashboard}/dashboard\n`);

      for (const [words, expected] of [
        [['status'], /running/],
        [['status', '--json'], /"version": ?"/],
        [['proxy-status'], /running/],
        [['start'], /was running already/],
        [['logs', '--json'], /"event":"proxy\.started"/],
        [['proxy-version'], new RegExp(`^${VERSION}\n$`)],
        [['proxy-help'], /uninstall/],
        [['statusline'], /^$/],
        [['stop'], /is stopped/],
        [['proxy-stop'], /was not running/],
        [['proxy-start'], /is running/],
      ] as const) {
        const ended = await machine.proxy([...words], { input: '{}' });
        expect([ended.code, ended.stderr], words.join(' ')).to.deep.equal([0, '']);
        expect(ended.stdout, words.join(' ')).to.match(expected);
      }

      const removed = await machine.proxy(['uninstall']);
      expect([removed.code, removed.stderr]).to.deep.equal([0, '']);
      expect(machine.picture()).to.deep.equal(before);
      expect(machine.temporary).to.deep.equal([]);
    });

    it('leaves an empty HOME empty', async () => {
      machine = new Machine();
      expect((await machine.pipe(release)).code).to.equal(0);
      expect((await machine.proxy(['proxy-uninstall'])).code).to.equal(0);
      expect(machine.picture()).to.deep.equal([]);
    });

    it('does no harm the second time', async () => {
      machine = new Machine();
      machine.file(SETTINGS, '{ "statusLine": {"type": "command", "command": "echo mine"} }');
      const before = machine.picture();
      await machine.pipe(release);
      const once = machine.picture().filter((line) => !line.includes('install.json') && !line.includes('logs/'));
      const { pid } = json(join(machine.dataDir, 'runtime.json'));
      const again = await machine.pipe(release);
      expect([again.code, again.stderr]).to.deep.equal([0, '']);
      expect(again.stdout).to.include('is up to date');
      expect(
        machine.picture().filter((line) => !line.includes('install.json') && !line.includes('logs/')),
      ).to.deep.equal(once);
      expect(json(join(machine.dataDir, 'runtime.json'))['pid']).to.equal(pid);
      expect(json(join(machine.dataDir, 'install.json'))['statusLineBefore']).to.equal('echo mine');
      await machine.proxy(['uninstall']);
      expect(machine.picture()).to.deep.equal(before);
    });

    it('keeps the certificates and the state when asked, and finds them again', async () => {
      machine = new Machine();
      await machine.pipe(release);
      const ca = readFileSync(join(machine.dataDir, 'certs/ca.pem'), 'utf8');
      const removed = await machine.proxy(['uninstall', '--keep-data']);
      expect(removed.code).to.equal(0);
      expect(existsSync(join(machine.home, '.local/bin'))).to.equal(false);
      expect(existsSync(join(machine.dataDir, 'app'))).to.equal(false);
      expect(readFileSync(join(machine.dataDir, 'certs/ca.pem'), 'utf8')).to.equal(ca);
      await machine.pipe(release);
      expect(readFileSync(join(machine.dataDir, 'certs/ca.pem'), 'utf8')).to.equal(ca);
    });
  });

  describe('and the status line', () => {
    const theirs =
      '{\n\t"statusLine": { "padding": 1, "type": "command", "command": "printf theirs" },\n\t"x": [1,2]\n}';

    it('comes after the one that is there; settings.json is given back byte for byte, through its link', async () => {
      machine = new Machine();
      const target = machine.file('dotfiles/settings.json', theirs, 0o640);
      mkdirSync(join(machine.home, '.claude'));
      symlinkSync('../dotfiles/settings.json', join(machine.home, SETTINGS));
      const before = machine.picture();
      await machine.pipe(release);
      expect(json(target)).to.deep.include({ x: [1, 2] });
      expect(statSync(target).mode & 0o777).to.equal(0o640);
      const shown = await machine.proxy(['statusline'], { input: '{"session_id":"a"}' });
      expect([shown.code, shown.stdout.trim()]).to.deep.equal([0, 'theirs']);
      await machine.proxy(['uninstall']);
      expect(machine.picture()).to.deep.equal(before);
    });

    it('goes alone where the settings were changed since', async () => {
      machine = new Machine();
      const path = machine.file(SETTINGS, theirs);
      await machine.pipe(release);
      writeFileSync(path, readFileSync(path, 'utf8').replace('[1,2]', '[1,2,3]'));
      await machine.proxy(['uninstall']);
      expect(readFileSync(path, 'utf8')).to.equal(theirs.replace('[1,2]', '[1,2,3]'));
    });

    it('leaves settings alone that are no JSON, and says so once', async () => {
      machine = new Machine();
      const path = machine.file(SETTINGS, '{ "a": 1,\n');
      const installed = await machine.pipe(release);
      expect(installed.code).to.equal(0);
      expect(messages(installed)).to.have.length(1);
      expect(messages(installed)[0]).to.match(/settings\.json was left as it is: no valid JSON/);
      await machine.proxy(['uninstall']);
      expect(readFileSync(path, 'utf8')).to.equal('{ "a": 1,\n');
    });
  });

  describe('changes nothing and says one thing', () => {
    async function refused(run: () => Promise<Ended>, message: RegExp): Promise<void> {
      const before = machine.picture();
      const ended = await run();
      expect(ended.code).to.be.above(0);
      expect(messages(ended)).to.have.length(1);
      expect(messages(ended)[0]).to.match(message);
      expect(machine.picture()).to.deep.equal(before);
      expect(machine.temporary).to.deep.equal([]);
    }

    it('for a damaged download', async () => {
      machine = new Machine();
      const archive = join(release.directory, 'claude-db-proxy.tar.gz');
      const whole = readFileSync(archive);
      try {
        writeFileSync(archive, whole.subarray(0, whole.length - 1));
        await refused(() => machine.pipe(release), /is damaged: its checksum is [0-9a-f]{64}, not [0-9a-f]{64}/);
      } finally {
        writeFileSync(archive, whole);
      }
    });

    it('without a network', async () => {
      machine = new Machine();
      const env = { DBPROXY_RELEASE_URL: 'http://127.0.0.1:9' };
      await refused(() => machine.pipe(release, env), /cannot download http:\/\/127\.0\.0\.1:9/);
    });

    it('for a release that anybody on the way could change', async () => {
      machine = new Machine();
      const env = { DBPROXY_RELEASE_URL: 'http://releases.example' };
      await refused(() => machine.pipe(release, env), /has to begin with https/);
    });

    it('for an unknown runtime, and for one that is not there', async () => {
      machine = new Machine();
      await refused(() => machine.pipe(release, { DBPROXY_RUNTIME: 'lxc' }), /DBPROXY_RUNTIME=lxc cannot be used/);
      await refused(
        () => machine.pipe(release, { DBPROXY_RUNTIME: 'podman' }),
        /DBPROXY_RUNTIME=podman cannot be used/,
      );
    });

    it('with neither Node nor an engine', async () => {
      machine = new Machine([]);
      await refused(() => machine.pipe(release), /neither a container engine nor Node 20\.19 or later was found/);
    });

    it('for a HOME that something is in the way in', async () => {
      machine = new Machine();
      machine.file('.local', 'a file');
      await refused(() => machine.pipe(release), /\.local cannot be written/);
    });

    it('for a command of that name that is not ours', async () => {
      machine = new Machine();
      machine.file('.local/bin/claude-db-proxy', '#!/bin/sh\n', 0o755);
      await refused(() => machine.pipe(release), /is there already and not ours/);
    });

    it('when packages cannot be had', async () => {
      machine = new Machine();
      const env = {
        npm_config_registry: 'http://127.0.0.1:9',
        npm_config_cache: join(machine.env['TMPDIR'] ?? '', 'npm'),
        npm_config_fetch_retries: '0',
      };
      const before = machine.picture();
      const ended = await machine.pipe(release, env);
      expect(ended.code).to.equal(1);
      expect(messages(ended)).to.deep.equal(['claude-db-proxy: npm could not install the packages: see above']);
      expect(machine.picture()).to.deep.equal(before);
    });
  });

  it('does nothing when half of it comes through the pipe', async () => {
    machine = new Machine();
    const whole = readFileSync(join(release.directory, 'install.sh'), 'utf8');
    const calls = whole.lastIndexOf('main "$@"');
    for (let end = 200; end < calls; end += 397) {
      await machine.run('sh', [], { input: whole.slice(0, end) });
      expect(machine.picture(), `${end} bytes`).to.deep.equal([]);
    }
    await machine.run('sh', [], { input: whole.slice(0, calls) });
    expect([machine.picture(), machine.temporary]).to.deep.equal([[], []]);
  });

  describe('and newer versions', () => {
    let own: Release;
    beforeEach(async () => {
      own = await Release.publish();
      machine = new Machine();
      await machine.pipe(own);
    });
    afterEach(() => own.close());

    const versionOf = async (): Promise<string> => {
      const status = JSON.parse((await machine.proxy(['status', '--json'])).stdout) as Record<string, unknown>;
      return String(status['version']);
    };
    const kept = (): readonly string[] => picture(join(machine.dataDir, 'certs'));

    it('come with proxy-update, and keep the certificates and the port', async () => {
      const before = { certs: kept(), ports: json(join(machine.dataDir, 'runtime.json'))['ports'] };
      own.makeVersion('9.0.0');
      const updated = await machine.proxy(['proxy-update']);
      expect([updated.code, updated.stderr]).to.deep.equal([0, '']);
      expect(updated.stdout).to.include('claude-db-proxy 9.0.0 is installed');
      expect(await versionOf()).to.equal('9.0.0');
      expect({ certs: kept(), ports: json(join(machine.dataDir, 'runtime.json'))['ports'] }).to.deep.equal(before);
      expect((await machine.proxy(['proxy-update'])).stdout).to.include('9.0.0 is up to date');
      expect((await machine.proxy(['uninstall'])).code).to.equal(0);
      expect(machine.picture()).to.deep.equal([]);
    });

    it('go again when they do not become healthy', async () => {
      const before = kept();
      own.makeVersion('9.0.0', (tree) => {
        writeFileSync(join(tree, 'dist/cli/main.js'), 'process.exit(1);\n');
      });
      const updated = await machine.proxy(['proxy-update']);
      expect(updated.code).to.equal(1);
      expect(updated.stderr).to.include(`going back to ${VERSION}`);
      expect(await versionOf()).to.equal(VERSION);
      expect(kept()).to.deep.equal(before);
      expect(existsSync(join(machine.dataDir, 'app/9.0.0'))).to.equal(false);
      expect(json(join(machine.dataDir, 'install.json'))['version']).to.equal(VERSION);
    });
  });

  for (const shell of ['bash', 'zsh', 'fish']) {
    it(`tells an alias that works in ${shell}`, async function () {
      machine = new Machine(['node', 'npm', shell]);
      if (!existsSync(join(machine.bin, shell))) return this.skip();
      machine.program('claude', 'printf "%s|" "$@"; exit 6');
      const installed = await machine.pipe(release, { SHELL: `/bin/${shell}` });
      const [, command = ''] = /^Now, once: {2}(.*?)(?: {3}and open a new shell)?$/m.exec(installed.stdout) ?? [];
      expect((await machine.run(shell, ['-c', command])).code, command).to.equal(0);
      const launched = await machine.run(shell, ['-i', '-c', "claude -p 'two words'"], { env: { TERM: 'dumb' } });
      expect([launched.code, launched.stdout], launched.stderr).to.deep.equal([6, '-p|two words|']);
      expect(launched.stderr).to.include('DB_PROXY_ON');
    });
  }

  it('takes another port where somebody else has ours', async () => {
    machine = new Machine();
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const installed = await machine.pipe(release, { DBPROXY_PROXY_PORT: String(port) });
      expect(installed.code).to.equal(0);
      const { ports } = json(join(machine.dataDir, 'runtime.json')) as { ports: { proxy: number } };
      expect(ports.proxy).not.to.equal(port);
    } finally {
      await machine.proxy(['uninstall'], { env: { DBPROXY_PROXY_PORT: String(port) } });
      server.close();
    }
  });

  it('makes a half-written certificate anew, with claude started all the same', async () => {
    machine = new Machine();
    machine.program('claude', 'exit 5');
    await machine.pipe(release);
    await machine.proxy(['stop']);
    const path = join(machine.dataDir, 'certs/ca.pem');
    writeFileSync(path, readFileSync(path).subarray(0, 300));
    const launched = await machine.proxy([]);
    expect(launched.code).to.equal(5);
    expect(launched.stderr).to.match(/^◈ DB_PROXY_ON/);
  });

  it('lets claude start when the program is gone', async () => {
    machine = new Machine();
    machine.program('claude', 'printf %s "$1"; exit 4');
    await machine.pipe(release);
    await machine.proxy(['stop']);
    const app = join(machine.dataDir, 'app');
    rmSync(app, { recursive: true });
    const launched = await machine.proxy(['word']);
    expect([launched.code, launched.stdout]).to.deep.equal([4, 'word']);
    expect(messages(launched)).to.have.length(1);
    rmSync(machine.dataDir, { recursive: true });
    rmSync(join(machine.home, '.local/bin/claude-db-proxy'));
  });

  it('installs the checkout that it is part of', async () => {
    machine = new Machine();
    const installed = await machine.run('sh', [join(ROOT, 'install.sh')], { cwd: ROOT });
    expect([installed.code, installed.stderr]).to.deep.equal([0, '']);
    expect(json(join(machine.dataDir, 'install.json'))).to.deep.include({ source: 'checkout', version: VERSION });
    expect((await machine.proxy(['proxy-update'])).stdout).to.include('is up to date');
    expect((await machine.proxy(['uninstall'])).code).to.equal(0);
    expect(machine.picture()).to.deep.equal([]);
  });
});
