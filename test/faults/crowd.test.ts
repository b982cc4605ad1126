/** A thousand conversations at once, and ten thousand idle tunnels: all are answered, and then nothing is left of them. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { openTunnel, startTcp } from '../src/redirector/sockets.ts';
import { figures, note } from './figures.ts';
import { eventually } from './handles.ts';
import { scenario } from './scenario.ts';
import { onServeStage, type ServeStage } from './serve-stage.ts';

const CONVERSATIONS = 1_000;
/** What a conversation that is idle again may leave, its checkpoint included; measured: 12.5 KB. */
const KEPT_BYTES = 16 * 1_024;
/** What a second crowd may take from the machine when the first has gone. */
const AGAIN_BYTES = 32 * 1_024 * 1_024;
const TUNNELS = 10_000;
/** Of the idle tunnels, those to the API with TLS set up; each of the others costs two sockets in every process. */
const WITH_TLS = 2_500;
/** What each process needs besides. */
const SPARE_FILES = 300;
const ABREAST = 100;

/** Does `work` for 0, 1, 2, … up to `count`, some at a time. */
async function inTurn(count: number, work: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(ABREAST, count) }, async () => {
      while (next < count) await work(next++);
    }),
  );
}

/** How many files a process may open: raised as far as it may be. */
function openFiles(): number {
  try {
    execFileSync('prlimit', ['--pid', String(process.pid), '--nofile=65536:65536'], { stdio: 'ignore' });
  } catch {
    // No right to: what there is has to do.
  }
  return Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]);
}

describe('a crowd', () => {
  scenario(
    `of ${CONVERSATIONS} conversations at once: each is checkpointed, compacts and goes on`,
    (chance) =>
      onServeStage(chance, { probe: true, env: { DBPROXY_MAX_CHECKPOINTS: '1000' } }, async (stage) => {
        await stage.warmUp();
        const rest = await stage.rest();
        const workers = Array.from({ length: CONVERSATIONS }, (_, at) => stage.worker(`one-of-many-${at}`));
        // All have their connection open all the time; so many speak at the same moment.
        const all = (what: (at: number) => Promise<void>): Promise<void> => inTurn(workers.length, what);
        await all((at) => workers[at]?.talk() ?? Promise.resolve());
        await all((at) => workers[at]?.checkpoint() ?? Promise.resolve());
        const full = await stage.rest();
        await all((at) => workers[at]?.compact() ?? Promise.resolve());
        await all((at) => workers[at]?.talk() ?? Promise.resolve());
        expect((await stage.child.health())['conversations']).to.be.at.least(CONVERSATIONS);
        await Promise.all(workers.map((worker) => worker.client.close()));
        await stage.expectBack(rest, CONVERSATIONS * KEPT_BYTES);
        const { held, resident } = await stage.rest();
        // What the process took from the machine for the first crowd does for the second.
        await all((at) => workers[at]?.talk() ?? Promise.resolve());
        await Promise.all(workers.map((worker) => worker.client.close()));
        const again = await stage.rest();
        const taken = again.resident - Math.max(full.resident, resident);
        expect(taken, 'bytes taken for a second crowd').to.be.below(AGAIN_BYTES);
        const each = (bytes: number): number => Math.round(bytes / CONVERSATIONS / 1_024);
        note(
          `${CONVERSATIONS} conversations at once: ${each(full.held - rest.held)} KB each on the heap, connection ` +
            `included, ${each(held - rest.held)} KB without; of the machine's memory ${each(full.resident - rest.resident)} KB`,
        );
      }),
    180_000,
  );

  scenario(
    `of ${TUNNELS} idle tunnels: they stay open, others are served among them, then they are gone`,
    (chance) =>
      onServeStage(chance, { probe: true, env: { DBPROXY_MAX_CONNECTIONS: '20000' } }, async (stage) => {
        const limit = openFiles();
        const tls = Math.min(WITH_TLS, Math.floor(limit / 4));
        const blind = Math.min(TUNNELS - tls, Math.floor((limit - SPARE_FILES - tls) / 2));
        const worker = stage.worker('worker');
        await worker.talk();
        await stage.warmUp();
        const rest = await stage.rest();
        const open: Socket[] = [];
        const destinations = new Set<Socket>();
        let heard = '';
        const { server, port } = await startTcp((socket) => {
          destinations.add(socket);
          socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
          socket.once('close', () => destinations.delete(socket));
        });
        try {
          await inTurn(blind, async () => {
            const { answer, socket } = await openTunnel(stage.child.ports.proxy, `127.0.0.1:${port}`);
            expect(answer).to.match(/^HTTP\/1\.1 200 /);
            open.push(socket);
          });
          let session: Buffer | undefined;
          await inTurn(tls, async () => {
            const socket = await encrypted(stage, session, (fresh) => (session = fresh));
            open.push(socket);
          });
          figures.faults += open.length;
          const full = await stage.rest();
          const began = performance.now();
          await worker.checkpoint();
          await worker.fill();
          await worker.compact();
          await worker.talk();
          const ms = Math.round(performance.now() - began);
          expect(
            open.filter((socket) => socket.destroyed),
            'tunnels that were closed',
          ).to.deep.equal([]);
          const perTunnel = Math.round((full.resident - rest.resident) / open.length / 1_024);
          note(
            `${open.length} idle tunnels (${tls} with TLS; ${limit} files allowed): ${perTunnel} KB each, ` +
              `a checkpoint and its compaction among them took ${ms} ms`,
          );
          expect(open.length, `tunnels, with ${limit} open files allowed`).to.be.at.least(Math.min(TUNNELS, limit / 2));
          // One still carries what it is given.
          const [first] = open;
          first?.write('still there');
          await eventually(
            () => heard.includes('still there'),
            () => 'nothing comes through an idle tunnel',
          );
        } finally {
          for (const socket of [...open, ...destinations]) socket.destroy();
          server.close();
        }
        await stage.expectBack(rest, 0);
      }),
    180_000,
  );
});

/** A tunnel to the API with TLS set up, resumed where it can be. */
async function encrypted(
  stage: ServeStage,
  session: Buffer | undefined,
  learn: (session: Buffer) => void,
): Promise<TLSSocket> {
  const { socket } = await openTunnel(stage.child.ports.proxy, 'api.anthropic.com:443');
  const tls = connect({
    socket,
    servername: 'api.anthropic.com',
    ca: stage.child.ca,
    ...(session === undefined ? {} : { session }),
  });
  tls.on('session', learn).on('error', () => undefined);
  await once(tls, 'secureConnect');
  return tls;
}
