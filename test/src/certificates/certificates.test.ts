import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { expect } from 'chai';
import { openCertificates, type Certificates } from '../../../src/certificates/certificates.ts';
import { issueLeaf } from '../../../src/certificates/issue.ts';
import { FileError } from '../../../src/errors.ts';
import { silentLog, type Log } from '../../../src/log.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
const start = new Date();

describe('certificates', () => {
  let root: string;
  let template: string;
  let copies = 0;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'dbproxy-certificates-'));
    template = join(root, 'template');
    await open(template);
  });

  after(() => rm(root, { recursive: true }));

  /** A directory of its own, as a first start leaves it behind. */
  async function copy(): Promise<string> {
    copies += 1;
    const directory = join(root, `copy-${copies}`);
    await cp(template, directory, { recursive: true });
    return directory;
  }

  function open(directory: string, now: Date = start, log: Log = silentLog): Promise<Certificates> {
    return openCertificates({ directory, now: () => now, log });
  }

  describe('a first start', () => {
    it('makes a directory and keys for the owner only', async () => {
      expect(await modeOf(template)).to.equal(0o700);
      expect((await readdir(template)).sort()).to.deep.equal([
        'api-key.pem',
        'api.pem',
        'ca-key.pem',
        'ca.pem',
        'localhost-key.pem',
        'localhost.pem',
        'loopback-key.pem',
        'loopback.pem',
      ]);
      for (const name of ['api-key.pem', 'api.pem', 'ca-key.pem', 'localhost-key.pem', 'localhost.pem']) {
        expect(await modeOf(join(template, name)), name).to.equal(0o600);
      }
    });

    it('makes a CA for ten years and server certificates for no more than 397 days, from a day ago', async () => {
      const ca = await certificate(template, 'ca.pem');
      const api = await certificate(template, 'api.pem');
      expect(ca.ca).to.be.true;
      expect(ca.subject).to.match(/^CN=claude-db-proxy local CA [0-9a-f]{8}$/);
      expect(days(start, ca.validTo)).to.be.within(3650, 3660);
      expect(days(api.validFrom, api.validTo)).to.be.at.most(397);
      expect(days(api.validFrom, start)).to.be.closeTo(1, 0.01);
      expect(api.subjectAltName).to.equal('DNS:api.anthropic.com');
      expect(api.serialNumber).to.not.equal((await certificate(template, 'localhost.pem')).serialNumber);
    });

    it('by two processes at once ends with one CA', async () => {
      const directory = join(root, 'shared');
      const opened = await Promise.all([open(directory), open(directory)]);
      const onDisk = await readFile(join(directory, 'ca.pem'), 'utf8');
      expect(opened.map(({ caPem }) => caPem)).to.deep.equal([onDisk, onDisk]);
      expect(await handshake(opened[1], { ca: onDisk, servername: 'api.anthropic.com' })).to.equal('accepted');
      expect((await readdir(directory)).filter((name) => !name.endsWith('.pem'))).to.deep.equal([]);
      expect((await open(directory)).caPem).to.equal(onDisk);
    });

    it('that was killed between key and certificate is finished by the next, with that key', async () => {
      const directory = await copy();
      await rm(join(directory, 'ca.pem'));
      const key = await readFile(join(directory, 'ca-key.pem'), 'utf8');
      const certificates = await open(directory);
      expect(await readFile(join(directory, 'ca-key.pem'), 'utf8')).to.equal(key);
      const asked = { ca: certificates.caPem, servername: 'api.anthropic.com' };
      expect(await handshake(certificates, asked)).to.equal('accepted');
    });

    it('says which directory it could not make', async () => {
      const file = join(root, 'a-file');
      await writeFile(file, '');
      const failure = await open(join(file, 'below')).catch((error: unknown) => error);
      expect(failure).to.be.instanceOf(FileError).with.property('code', 'DBPROXY_ERR_FILE');
      expect(failure).to.have.property('message').that.includes(file);
    });
  });

  describe('a TLS client that trusts the CA', () => {
    let certificates: Certificates;
    before(async () => {
      certificates = await open(template);
    });

    for (const [how, options] of Object.entries({
      'api.anthropic.com': { servername: 'api.anthropic.com' },
      'API.Anthropic.Com': { servername: 'API.Anthropic.Com' },
      localhost: { servername: 'localhost' },
      'localhost without SNI': { checkServerIdentity: identityOf('localhost') },
      '127.0.0.1, so without SNI': { checkServerIdentity: identityOf('127.0.0.1') },
      '::1, so without SNI': { checkServerIdentity: identityOf('::1') },
    })) {
      it(`accepts it as ${how}`, async () => {
        expect(await handshake(certificates, { ca: certificates.caPem, ...options })).to.equal('accepted');
      });
    }

    it('refuses another name', async () => {
      const asked = { ca: certificates.caPem, servername: 'evil.example' };
      expect(await handshake(certificates, asked)).to.include('ERR_TLS_CERT_ALTNAME_INVALID');
    });

    it('refuses TLS 1.1', async () => {
      const asked = { ca: certificates.caPem, servername: 'localhost', maxVersion: 'TLSv1.1' as const };
      expect(await handshake(certificates, asked)).to.not.equal('accepted');
    });

    for (const [what, names] of Object.entries({
      'a foreign name': { dnsNames: ['evil.example'], ipAddresses: [] },
      'a foreign address': { dnsNames: ['localhost'], ipAddresses: ['192.0.2.1'] },
      'the name above the API': { dnsNames: ['anthropic.com'], ipAddresses: [] },
    })) {
      it(`refuses a certificate for ${what}, though signed by the CA`, async () => {
        const keyPem = await readFile(join(template, 'api-key.pem'), 'utf8');
        const ca = { certPem: certificates.caPem, keyPem: await readFile(join(template, 'ca-key.pem'), 'utf8') };
        const leaf = { certificateFile: '', keyFile: '', ...names };
        const secureContext = tls.createSecureContext({ cert: issueLeaf(ca, leaf, keyPem, start), key: keyPem });
        const options = { SNICallback: (_: string, answer: Answer) => answer(null, secureContext) };
        const asked = { ca: certificates.caPem, servername: names.dnsNames[0] ?? '' };
        expect(await handshake({ serverOptions: () => options }, asked)).to.include('permitted subtree violation');
      });
    }
  });

  describe('a later start', () => {
    it('changes nothing and is quick where everything is in place', async () => {
      const before = await contents(template);
      const times: number[] = [];
      for (let turn = 0; turn < 5; turn += 1) {
        const began = performance.now();
        await open(template, new Date(start.getTime() + 300 * DAY_MS));
        times.push(performance.now() - began);
      }
      expect(Math.min(...times)).to.be.below(50); // the best of five: a busy machine is no regression
      expect(await contents(template)).to.deep.equal(before);
    });

    it('renews server certificates that have less than 30 days left, and no CA', async () => {
      const directory = await copy();
      const before = await contents(directory);
      const later = new Date(start.getTime() + 370 * DAY_MS);
      await open(directory, later);
      const after = await contents(directory);
      expect(after['ca.pem']).to.equal(before['ca.pem']);
      expect(after['ca-key.pem']).to.equal(before['ca-key.pem']);
      expect(days(later, (await certificate(directory, 'api.pem')).validTo)).to.be.closeTo(396, 1);
    });

    for (const [what, name, spoil] of [
      ['half a certificate', 'api.pem', (text: string) => text.slice(0, text.length / 2)],
      ['an empty certificate', 'localhost.pem', () => ''],
      ['half a key', 'api-key.pem', (text: string) => text.slice(0, text.length / 2)],
    ] as const) {
      it(`makes a server certificate anew where it finds ${what}`, async () => {
        const directory = await copy();
        const path = join(directory, name);
        await writeFile(path, spoil(await readFile(path, 'utf8')));
        const certificates = await open(directory);
        for (const servername of ['api.anthropic.com', 'localhost']) {
          expect(await handshake(certificates, { ca: certificates.caPem, servername })).to.equal('accepted');
        }
        expect(certificates.caPem).to.equal(await readFile(join(template, 'ca.pem'), 'utf8'));
      });
    }

    it('makes a server certificate anew that has other names', async () => {
      const directory = await copy();
      for (const suffix of ['.pem', '-key.pem']) {
        await cp(join(directory, `loopback${suffix}`), join(directory, `localhost${suffix}`));
      }
      await open(directory);
      expect((await certificate(directory, 'localhost.pem')).subjectAltName).to.equal('DNS:localhost');
    });

    for (const [what, spoil, reason] of [
      ['key is half a file', (key: string) => key.slice(0, 500), 'the CA key is no RSA private key'],
      ['key is missing', () => undefined, 'the CA key is missing'],
      [
        'key is another one',
        () => readFile(join(template, 'api-key.pem'), 'utf8'),
        'the CA key belongs to another certificate',
      ],
    ] as const) {
      it(`sets a CA aside whose ${what}, says so, and makes another`, async () => {
        const directory = await copy();
        const path = join(directory, 'ca-key.pem');
        const spoiled = await spoil(await readFile(path, 'utf8'));
        if (spoiled === undefined) await rm(path);
        else await writeFile(path, spoiled);
        const { log, lines } = recordingLog();
        const certificates = await open(directory, start, log);

        expect(lines).to.include.deep.members([`certificate.ca_replaced ${reason}`]);
        const old = (await readdir(directory)).filter((name) => /^ca(-key)?\.pem\.broken-[0-9TZ]+$/.test(name));
        expect(old).to.have.lengthOf(spoiled === undefined ? 1 : 2);
        expect(certificates.caPem).to.not.equal(await readFile(join(template, 'ca.pem'), 'utf8'));
        const asked = { ca: certificates.caPem, servername: 'api.anthropic.com' };
        expect(await handshake(certificates, asked)).to.equal('accepted');
      });
    }

    it('replaces a CA with less than 30 days left', async () => {
      const directory = await copy();
      const { log, lines } = recordingLog();
      const later = new Date(start.getTime() + 3630 * DAY_MS);
      const { caPem } = await open(directory, later, log);
      expect(lines.filter((line) => line.startsWith('certificate.ca_replaced'))).to.have.lengthOf(1);
      expect(days(later, new X509Certificate(caPem).validTo)).to.be.closeTo(3653, 1);
    });

    it('goes on with everything as it is by a clock that is months behind', async () => {
      const directory = await copy();
      const before = await contents(directory);
      const { log, lines } = recordingLog();
      const behind = new Date(start.getTime() - 300 * DAY_MS);
      const { caPem } = await open(directory, behind, log);
      expect(caPem).to.equal(before['ca.pem']);
      expect(lines.filter((line) => !line.startsWith('certificate.leaf_issued'))).to.deep.equal([]);
      expect((await certificate(directory, 'api.pem')).checkIssued(new X509Certificate(caPem))).to.be.true;
      // With the clock set right again what was made meanwhile is made anew, by the same CA.
      const again = await open(directory, new Date(start.getTime() + 100 * DAY_MS));
      expect(again.caPem).to.equal(caPem);
      expect(days(start, (await certificate(directory, 'api.pem')).validTo)).to.be.above(400);
    });

    it('never replaces a CA for a clock from before its time, and says so', async () => {
      const directory = await copy();
      const before = await contents(directory);
      const { log, lines } = recordingLog();
      const { caPem } = await open(directory, new Date('1980-01-01'), log);
      expect(lines.map((line) => line.split(' ')[0])).to.deep.equal(['certificate.clock_behind']);
      expect(caPem).to.equal(before['ca.pem']);
      expect(await contents(directory)).to.deep.equal(before);
    });

    it('takes lax permissions away and says so', async () => {
      const directory = await copy();
      await chmod(directory, 0o755);
      await chmod(join(directory, 'ca-key.pem'), 0o644);
      const { log, lines } = recordingLog();
      await open(directory, start, log);
      expect(await modeOf(directory)).to.equal(0o700);
      expect(await modeOf(join(directory, 'ca-key.pem'))).to.equal(0o600);
      expect(lines).to.deep.equal(['certificate.permissions_tightened', 'certificate.permissions_tightened']);
    });

    it('removes what killed processes left half-written, and leaves alone what is being written', async () => {
      const directory = await copy();
      await writeFile(join(directory, '.ca.pem.old.tmp'), '-----BEGIN');
      await utimes(join(directory, '.ca.pem.old.tmp'), start, new Date(start.getTime() - DAY_MS));
      await writeFile(join(directory, '.ca.pem.new.tmp'), '-----BEGIN');
      await open(directory);
      expect((await readdir(directory)).filter((name) => name.endsWith('.tmp'))).to.deep.equal(['.ca.pem.new.tmp']);
    });
  });

  describe('renewIfDue', () => {
    it('does nothing while more than 30 days are left', async () => {
      const certificates = await open(template);
      expect(await certificates.renewIfDue()).to.be.false;
    });

    it('renews for the next handshake without a restart, and leaves the CA byte for byte', async () => {
      const directory = await copy();
      const before = await contents(directory);
      let now = start;
      const certificates = await openCertificates({ directory, now: () => now, log: silentLog });
      const oldContext = certificates.secureContextFor('api.anthropic.com');
      now = new Date(start.getTime() + 370 * DAY_MS);
      expect(await certificates.renewIfDue()).to.be.true;
      expect(await certificates.renewIfDue()).to.be.false;
      expect(certificates.secureContextFor('api.anthropic.com')).to.not.equal(oldContext);
      const after = await contents(directory);
      expect([after['ca.pem'], after['ca-key.pem']]).to.deep.equal([before['ca.pem'], before['ca-key.pem']]);
      expect(certificates.caPem).to.equal(before['ca.pem']);
      for (const name of ['api.pem', 'localhost.pem', 'loopback.pem']) {
        expect(days(now, (await certificate(directory, name)).validTo), name).to.be.above(390);
      }
    });

    it('near the end of the CA renews up to that end, once', async () => {
      const directory = await copy();
      let now = start;
      const certificates = await openCertificates({ directory, now: () => now, log: silentLog });
      now = new Date(start.getTime() + 3640 * DAY_MS);
      expect(await certificates.renewIfDue()).to.be.true;
      expect(await certificates.renewIfDue()).to.be.false;
      const { validTo } = await certificate(directory, 'ca.pem');
      expect((await certificate(directory, 'api.pem')).validTo).to.equal(validTo);
    });

    it('logs a CA that has changed and keeps the certificates it has', async () => {
      const directory = await copy();
      const { log, lines } = recordingLog();
      let now = start;
      const certificates = await openCertificates({ directory, now: () => now, log });
      const context = certificates.secureContextFor('localhost');
      await cp(join(directory, 'api-key.pem'), join(directory, 'ca-key.pem'));
      const before = await contents(directory);
      now = new Date(start.getTime() + 370 * DAY_MS);
      expect(await certificates.renewIfDue()).to.be.false;
      expect(certificates.secureContextFor('localhost')).to.equal(context);
      expect(lines[0]).to.match(/^certificate\.renewal_failed .*restart/);
      expect(await contents(directory)).to.deep.equal(before);
    });
  });
});

type Answer = (error: Error | null, context?: tls.SecureContext) => void;

/**
 * Node sends no SNI for an address; checking for it is then the client's own doing. OpenSSL's check is asked, because
 * `tls.checkServerIdentity` of Node 22.23 refuses every IPv6 address.
 */
function identityOf(name: string) {
  return (_: string, peer: tls.PeerCertificate): Error | undefined => {
    const certificate = new X509Certificate(peer.raw);
    const matches = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
    return matches === undefined ? new Error(`not for ${name}`) : undefined;
  };
}

/** `accepted`, or the code and words with which the client refused: Node has no code of its own for every reason. */
async function handshake(
  certificates: Pick<Certificates, 'serverOptions'> | undefined,
  client: tls.ConnectionOptions,
): Promise<string> {
  const server = tls.createServer(certificates?.serverOptions() ?? {}, (socket) => socket.end());
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const socket = tls.connect({ host: '127.0.0.1', port: address.port, ...client });
  try {
    await once(socket, 'secureConnect');
    return 'accepted';
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)} ${error.message}` : String(error);
  } finally {
    socket.destroy();
    server.close();
    await once(server, 'close');
  }
}

async function certificate(directory: string, name: string): Promise<X509Certificate> {
  return new X509Certificate(await readFile(join(directory, name)));
}

async function contents(directory: string): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort();
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index] ?? '']));
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

function days(from: string | Date, to: string | Date): number {
  return (new Date(to).getTime() - new Date(from).getTime()) / DAY_MS;
}

function recordingLog(): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const record = (event: string, fields?: Readonly<Record<string, unknown>>): void => {
    lines.push(typeof fields?.['reason'] === 'string' ? `${event} ${fields['reason']}` : event);
  };
  return { log: { debug: record, info: record, warn: record, error: record }, lines };
}
