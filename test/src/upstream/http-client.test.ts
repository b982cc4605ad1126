import { readFileSync, rmSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { openCertificates } from '../../../src/certificates/certificates.ts';
import { parseConfig } from '../../../src/config/config.ts';
import { silentLog } from '../../../src/log.ts';
import { startProxy } from '../../../src/proxy.ts';
import { startSimulatedApi } from '../../../src/simulated-api/index.ts';
import { ask, messageRequest, RawClient, requestBytes, API_HEADERS } from '../forwarder/raw-client.ts';
import { newDataDir, quickRig, rawRig } from '../forwarder/quick-rig.ts';

describe('the way out', () => {
  it('keeps a path that the upstream has, and its port in Host', async () => {
    const probe = await rawRig();
    const { port } = probe.upstream;
    for (const [url, expected] of [
      [`http://127.0.0.1:${port}/gateway/anthropic`, '/gateway/anthropic/v1/messages?beta=true'],
      [`http://127.0.0.1:${port}/gateway/`, '/gateway/v1/messages?beta=true'],
      [`http://localhost:${port}`, '/v1/messages?beta=true'],
    ] as const) {
      const rig = await quickRig({ DBPROXY_UPSTREAM_URL: url });
      const coming = probe.upstream.next();
      expect((await ask(rig, messageRequest('prefixed'))).text).to.equal('ok');
      const { path, header } = await coming;
      expect([path, header('host')]).to.deep.equal([expected, new URL(url).host]);
      await rig.close();
    }
    await probe.close();
  });

  it('goes over TLS to an upstream whose CA is trusted, and to no other', async () => {
    const [theirs, ours] = await Promise.all([newDataDir(), newDataDir()]);
    const certificates = await openCertificates({
      directory: `${theirs}/certs`,
      now: () => new Date(),
      log: silentLog,
    });
    const tls = ['localhost.pem', 'localhost-key.pem'].map((name) => readFileSync(`${theirs}/certs/${name}`, 'utf8'));
    const api = await startSimulatedApi({ tls: { cert: tls[0] ?? '', key: tls[1] ?? '' } });
    const env = { DBPROXY_PROXY_PORT: '0', DBPROXY_DASHBOARD_PORT: '0', DBPROXY_DATA_DIR: ours };
    const config = parseConfig({ ...env, DBPROXY_UPSTREAM_URL: `https://localhost:${api.port}` });
    for (const trusted of [true, false]) {
      const upstreamCa = trusted ? { upstreamCa: [certificates.caPem] } : {};
      const proxy = await startProxy({ config, log: silentLog, ...upstreamCa });
      const target = { proxy, ca: readFileSync(proxy.caPath, 'utf8') };
      const answer = await ask(target, messageRequest('secure'));
      expect(answer.status).to.equal(trusted ? 200 : 502);
      if (!trusted) expect(answer.text).to.include('claude-db-proxy: ').and.to.include('localhost');
      await proxy.stop();
    }
    expect(api.messages).to.have.length(1);
    await api.close();
    for (const directory of [theirs, ours]) rmSync(directory, { recursive: true });
  });

  it('uses a connection again, and opens as many as there are requests at once', async () => {
    const rig = await quickRig();
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.open(rig)));
    rig.api.setSpeed({ firstByteMs: 50 });
    const began = performance.now();
    for (const client of clients) client.write(requestBytes(messageRequest('parallel')));
    for (const client of clients) expect((await client.answer('POST')).status).to.equal(200);
    expect(performance.now() - began).to.be.below(20 * 50);
    expect(rig.api.connections).to.be.within(1, 20);
    rig.api.setSpeed({});
    const open = rig.api.connections;
    for (let turn = 0; turn < 10; turn += 1) await ask(rig, { path: '/api/hello', headers: API_HEADERS });
    expect(rig.api.connections).to.be.at.most(open);
    await rig.close();
  });
});
