import { performance } from 'node:perf_hooks';
import { expect } from 'chai';
import { checkHealth } from '../../../cli/health-check.ts';
import { exchange } from '../../src/redirector/sockets.ts';
import { eventually, kill, lives, worlds, type World } from './world.ts';

/** As the issue asks. */
const REVIVED_MS = 2_000;

describe('claude-db-proxy while claude runs', function () {
  this.timeout(120_000);
  const open = worlds();

  const healthy = (world: World, port: number): Promise<true> =>
    eventually(
      async () => {
        const check = await checkHealth(world.layout, { host: '127.0.0.1', port, timeoutMs: 5_000 });
        return check.healthy ? true : null;
      },
      'no healthy proxy',
      40_000,
    );

  it('starts a proxy that died again, on the same ports', async () => {
    const world = await open();
    const run = world.run([], { FAKE_WAIT: '1' });
    await world.running();
    const { pid } = world;
    const port = world.record?.ports.proxy ?? 0;
    const killed = performance.now();
    kill(pid);
    await eventually(() => (lives(pid) ? null : true), 'it could not be killed');
    await healthy(world, port);
    expect(performance.now() - killed, 'milliseconds until it served again').to.be.below(REVIVED_MS);
    await eventually(() => (world.pid === pid ? null : true), 'the new one was not written down');
    expect(world.record?.ports.proxy).to.equal(port);
    world.end();
    expect((await run.ended).code).to.equal(0);
    expect(lives(world.pid), 'the new one stays').to.equal(true);
  });

  it('stands in for a proxy that was stopped on purpose, and gives way to the next one', async () => {
    const world = await open();
    const run = world.run([], { FAKE_WAIT: '1' });
    await world.running();
    const port = world.record?.ports.proxy ?? 0;
    expect((await world.ended(['stop'])).code).to.equal(0);
    // Nothing but CONNECT, as a proxy of ours says it; and the API beyond it is not ours.
    const answer = await eventually(
      () => exchange(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n').catch(() => null),
      'nobody stands in',
    );
    expect(answer).to.match(/^HTTP\/1\.1 405 /);
    expect(run.stderr).to.include('the proxy was stopped: claude goes to the API directly');
    expect((await world.ended(['start'])).code).to.equal(0);
    expect(world.record?.ports.proxy).to.equal(port);
    await healthy(world, port);
    world.end();
    expect((await run.ended).code).to.equal(0);
  });
});
