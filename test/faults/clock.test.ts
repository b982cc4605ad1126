/** The clock jumps, and certificates run out, under a running proxy and under a client that is connected. */
import { expect } from 'chai';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { openTunnel } from '../src/redirector/sockets.ts';
import { figures } from './figures.ts';
import { eventually } from './handles.ts';
import { scenario } from './scenario.ts';
import { onServeStage, type ServeStage } from './serve-stage.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** The proxy looks once a minute for what has expired, once a day at its certificates: here that often. */
const LOOK_MS = 150;
const WARPED = { probe: true, env: { FAULTS_FAST_TIMERS: String(LOOK_MS) } };

/** Earlier, a start would find a CA of the future, and make one that this client does not know. */
const EARLIEST_START_MS = -DAY_MS;

/** Time for the proxy to have looked at everything twice. */
async function looked(stage: ServeStage): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 3 * LOOK_MS));
  await stage.child.report();
}

describe('a clock that jumps', () => {
  const jumps: Readonly<Record<string, number>> = {
    'an hour ahead': HOUR_MS,
    'three days ahead': 3 * DAY_MS,
    'a year ahead': 365 * DAY_MS,
    'an hour back': -HOUR_MS,
    'a day back': -DAY_MS,
    'to 1980': -46 * 365 * DAY_MS,
  };
  for (const [how, jump] of Object.entries(jumps)) {
    scenario(
      `${how}: checkpoints stay, those that are made then survive a kill`,
      (chance) =>
        onServeStage(chance, WARPED, async (stage) => {
          const [before, both] = [stage.worker('before'), stage.worker('both')];
          for (const worker of [before, both]) {
            await worker.talk();
            await worker.checkpoint();
          }
          expect((await stage.child.shiftClock(jump)).offsetMs).to.equal(jump);
          figures.faults += 1;
          await looked(stage);
          await before.fill();
          await before.compact();
          await before.checkpoint();
          await both.fill();
          if (jump >= EARLIEST_START_MS) {
            await stage.kill();
            await stage.restart({ FAULTS_CLOCK_OFFSET: String(jump) });
          }
          for (const worker of [before, both]) {
            await worker.fill();
            await worker.compact();
            await worker.talk();
          }
          // … and back to the right time.
          await before.checkpoint();
          await stage.child.shiftClock(0);
          await looked(stage);
          await before.fill();
          await before.compact();
        }),
      60_000,
    );
  }
});

/** A client through the tunnel, as far as TLS. */
async function handshake(stage: ServeStage): Promise<TLSSocket> {
  const { socket } = await openTunnel(stage.child.ports.proxy, 'api.anthropic.com:443');
  const tls = connect({ socket, servername: 'api.anthropic.com', ca: stage.child.ca });
  await once(tls, 'secureConnect');
  return tls;
}

const serialOf = async (stage: ServeStage): Promise<string> => {
  const tls = await handshake(stage);
  const { serialNumber } = tls.getPeerCertificate();
  tls.destroy();
  return serialNumber;
};

describe('certificates', () => {
  /** Started so many days ago by its own clock, with certificates that it made then. */
  const startedAgo = (days: number) => ({
    probe: true,
    env: { FAULTS_FAST_TIMERS: String(LOOK_MS), FAULTS_CLOCK_OFFSET: String(-days * DAY_MS) },
  });

  /** Makes the proxy issue its server certificates by its own clock. */
  function withoutLeaves(stage: ServeStage): void {
    for (const name of ['api', 'localhost', 'loopback']) writeFileSync(join(stage.dataDir, `certs/${name}.pem`), '');
  }

  scenario(
    'that are about to run out are renewed under a client that stays connected',
    (chance) =>
      onServeStage(chance, startedAgo(0), async (stage) => {
        const worker = stage.worker('worker');
        withoutLeaves(stage);
        await stage.child.kill('SIGTERM');
        await stage.restart({ FAULTS_CLOCK_OFFSET: String(-380 * DAY_MS) });
        await worker.talk(); // on a connection that is kept
        const old = await serialOf(stage);
        await stage.child.shiftClock(0);
        figures.faults += 1;
        await eventually(
          () => stage.child.logged('certificate.renewed').length > 0,
          () => 'the certificates were not renewed',
        );
        await worker.checkpoint();
        await worker.fill();
        await worker.compact();
        expect(await serialOf(stage), 'the certificate that new connections see').not.to.equal(old);
      }),
    60_000,
  );

  scenario(
    'that have run out are replaced under a running client, without a new start',
    (chance) =>
      onServeStage(chance, startedAgo(0), async (stage) => {
        const worker = stage.worker('worker');
        await worker.talk();
        await worker.checkpoint();
        withoutLeaves(stage);
        await stage.child.kill('SIGTERM');
        await worker.client.close();
        await stage.restart({ FAULTS_CLOCK_OFFSET: String(-420 * DAY_MS) });
        const refused: unknown = await handshake(stage).catch((error: unknown) => error);
        expect((refused as { code?: unknown }).code).to.equal('CERT_HAS_EXPIRED');
        figures.faults += 1;
        const working = worker.fill(); // tries again and again
        await stage.child.shiftClock(0);
        await working;
        await worker.compact();
      }),
    60_000,
  );

  scenario(
    'whose files are spoilt under a running proxy go on as they are in memory',
    (chance) =>
      onServeStage(chance, WARPED, async (stage) => {
        const worker = stage.worker('worker');
        await worker.talk();
        const file = join(stage.dataDir, 'certs/api.pem');
        const was = readFileSync(file);
        for (const name of ['api', 'localhost', 'loopback', 'ca']) {
          writeFileSync(join(stage.dataDir, `certs/${name}.pem`), 'no certificate');
        }
        figures.faults += 1;
        await looked(stage);
        await worker.checkpoint();
        await worker.client.close();
        await worker.fill();
        await worker.compact();
        writeFileSync(file, was);
      }),
    60_000,
  );
});
