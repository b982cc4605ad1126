import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { startConnectProxy, type ConnectProxy } from './connect-proxy.ts';
import { HOST, selfSigned } from './self-signed.ts';

const CHILD = fileURLToPath(new URL('extra-ca-child.ts', import.meta.url));

/** Node reads `NODE_EXTRA_CA_CERTS` once, at its start: so this needs a process of its own. */
describe('NODE_EXTRA_CA_CERTS', () => {
  let api: SimulatedApi;
  let proxy: ConnectProxy;
  let directory: string;
  let ca: string;

  before(async () => {
    const identity = await selfSigned();
    api = await startSimulatedApi({ tls: identity });
    proxy = await startConnectProxy({ tls: identity });
    directory = mkdtempSync(join(tmpdir(), 'dbproxy-ca-'));
    ca = join(directory, 'ca.pem');
    writeFileSync(ca, identity.cert);
  });
  after(async () => {
    await Promise.all([api.close(), proxy.close()]);
    rmSync(directory, { recursive: true, force: true });
  });

  async function child(env: Record<string, string>): Promise<readonly string[]> {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import=tsx', CHILD], {
      env: {
        HOME: directory,
        ...(process.env['PATH'] === undefined ? {} : { PATH: process.env['PATH'] }),
        HTTPS_PROXY: `https://localhost:${proxy.port}`,
        DBPROXY_UPSTREAM_URL: `https://${HOST}:${api.port}`,
        ...env,
      },
    });
    return JSON.parse(stdout) as readonly string[];
  }

  it('holds for forwarded requests, for undici and for a proxy over TLS', async () => {
    const [trusting, without] = await Promise.all([child({ NODE_EXTRA_CA_CERTS: ca }), child({})]);
    expect(trusting).to.deep.equal(['200', '200']);
    for (const message of without) expect(message).to.match(/^cannot reach the proxy .*SELF_SIGNED_CERT/);
  });
});
