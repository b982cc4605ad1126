import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { ProxyStats } from '../../bench/proxy-process.ts';
import { messageRequest, RawClient, requestBytes, type RawRequest, type Target } from './raw-client.ts';
import { newDataDir } from './quick-rig.ts';
import { answering, OK, startRawUpstream, type RawUpstream, type Received } from './raw-upstream.ts';

const TOTAL = 200 * 1024 * 1024;
const PIECE = Buffer.alloc(1024 * 1024, 'x');
const GROWTH = 20 * 1024 * 1024;

interface Ready {
  readonly ports: Target['proxy']['ports'];
  readonly caPath: string;
}

/** Writes `TOTAL` bytes as fast as the socket takes them, for ever if it does not. Returns what it has got rid of. */
function pour(socket: Received['socket']): { readonly sent: () => number } {
  let left = TOTAL;
  const go = (): void => {
    while (left > 0 && !socket.destroyed) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (!socket.write(piece)) break;
    }
    if (left > 0) socket.once('drain', go);
  };
  go();
  return { sent: () => TOTAL - left - socket.writableLength };
}

/** Resolves when a figure has not moved for a while. */
async function settled(figure: () => number): Promise<number> {
  for (let before = -1, same = 0; ;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    same = figure() === before ? same + 1 : 0;
    before = figure();
    if (same === 15) return before;
  }
}

describe('a side that does not read', () => {
  let child: ChildProcess;
  let target: Target;
  let upstream: RawUpstream;
  let dataDir: string;
  let client: RawClient;
  before(async function () {
    this.timeout(20_000);
    dataDir = await newDataDir();
    upstream = await startRawUpstream();
    child = fork(fileURLToPath(new URL('../../bench/proxy-process.ts', import.meta.url)), {
      execArgv: ['--import', 'tsx', '--expose-gc'],
      env: {
        ...process.env,
        DBPROXY_DATA_DIR: dataDir,
        DBPROXY_PROXY_PORT: '0',
        DBPROXY_DASHBOARD_PORT: '0',
        DBPROXY_UPSTREAM_URL: upstream.url,
      },
    });
    const [{ caPath, ports }] = (await once(child, 'message')) as [Ready];
    target = { proxy: { ports }, ca: readFileSync(caPath, 'utf8') };
  });
  beforeEach(async () => {
    client = await RawClient.open(target);
    upstream.serve = answering(OK);
    client.write(requestBytes(messageRequest('warm')));
    await client.answer('POST');
  });
  afterEach(() => client.close());
  after(async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    await upstream.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  async function memory(): Promise<number> {
    child.send('stats');
    const [{ stats }] = (await once(child, 'message')) as [{ stats: ProxyStats }];
    return stats.memory;
  }

  const requests: readonly RawRequest[] = [messageRequest('large'), { method: 'POST', path: '/api/large', body: '{}' }];
  const framings = [`content-length: ${TOTAL}`, 'transfer-encoding: chunked', 'connection: close'];
  for (const [at, request] of requests.entries()) {
    for (const framing of at === 0 ? framings.slice(1, 2) : framings) {
      it(`holds back the API and not our memory (answer to ${request.path}, ${framing})`, async () => {
        const before = await memory();
        const coming = upstream.next();
        upstream.serve = () => undefined;
        client.socket.removeAllListeners('data');
        client.socket.pause();
        client.write(requestBytes(request));
        const received = await coming;
        received.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`);
        if (framing.startsWith('transfer')) received.send(`${TOTAL.toString(16)}\r\n`);
        const { sent } = pour(received.socket);
        expect(await settled(sent)).to.be.below(TOTAL / 2);
        expect((await memory()) - before).to.be.below(GROWTH);
        // It goes on when the client reads on, to the last byte.
        let bytes = 0;
        client.socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
        client.socket.resume();
        while (bytes < TOTAL) await once(client.socket, 'data');
        expect((await memory()) - before).to.be.below(GROWTH);
      }).timeout(15_000);
    }
    it(`holds back the client and not our memory (request for ${request.path})`, async () => {
      const before = await memory();
      const coming = upstream.next();
      upstream.serve = ({ socket }) => {
        socket.pause();
        return new Promise(() => undefined);
      };
      const head = requestBytes({ ...request, body: PIECE });
      const end = head.indexOf('\r\n\r\n') + 4;
      client.write(
        head
          .subarray(0, end)
          .toString('latin1')
          .replace(/(content-length: )\d+/, `$1${TOTAL}`),
      );
      const { sent } = pour(client.socket);
      const received = await coming;
      expect(await settled(sent)).to.be.below(TOTAL / 2);
      expect((await memory()) - before).to.be.below(GROWTH);
      const gone = once(received.socket, 'close');
      await client.close();
      received.socket.resume();
      await gone;
      expect((await memory()) - before).to.be.below(GROWTH / 4);
    }).timeout(15_000);
  }

  it('holds back the next answers as well, when a client asks on and on', async () => {
    const before = await memory();
    const body = Buffer.alloc(60_000, 'y');
    const answer = Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n'), body]);
    upstream.serve = answering(answer);
    client.socket.removeAllListeners('data');
    client.socket.pause();
    const one = requestBytes({ path: '/api/again' });
    const served = upstream.requests.length;
    const many = 2_000;
    client.write(Buffer.concat(Array.from({ length: many }, () => one)));
    expect(await settled(() => upstream.requests.length)).to.be.below(served + many);
    expect((await memory()) - before).to.be.below(GROWTH);
    let bytes = 0;
    client.socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
    client.socket.resume();
    while (bytes < many * answer.length) await once(client.socket, 'data');
    expect(upstream.requests.length).to.equal(served + many);
  }).timeout(15_000);
});
