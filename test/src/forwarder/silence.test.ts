import { once } from 'node:events';
import { Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { mock } from 'node:test';
import { expect } from 'chai';
import { messageRequest, RawClient, requestBytes, type RawRequest } from './raw-client.ts';
import { rawRig, type RawRig } from './quick-rig.ts';
import { answering, OK, type Received } from './raw-upstream.ts';

const TWENTY_MINUTES = 20 * 60_000;
const HEAD = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';
const PING = '23\r\nevent: ping\ndata: {"type":"ping"}\n\n\r\n';
const END = '0\r\n\r\n';

/**
 * Time that passes when it is told to: the steady clock, timers of the event loop, and idle timeouts of sockets as far as
 * they are set while it holds.
 */
class VirtualTime {
  readonly #timeouts = new Map<Socket, number>();
  #passed = 0;
  // eslint-disable-next-line @typescript-eslint/unbound-method -- put back as it was
  readonly #original = Socket.prototype.setTimeout;

  constructor() {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    const now = performance.now.bind(performance);
    mock.method(performance, 'now', () => now() + this.#passed);
    const timeouts = this.#timeouts;
    Socket.prototype.setTimeout = function (ms, callback) {
      timeouts.set(this, ms);
      if (callback !== undefined) this.once('timeout', callback);
      return this;
    };
  }

  /** Lets `ms` pass in which no socket sees a byte. */
  pass(ms: number): void {
    this.#passed += ms;
    mock.timers.tick(ms);
    for (const [socket, timeout] of this.#timeouts) if (timeout > 0 && timeout <= ms) socket.emit('timeout');
  }

  end(): void {
    mock.restoreAll();
    mock.timers.reset();
    Socket.prototype.setTimeout = this.#original;
  }
}

/** The loop's next rounds, in which a closed socket would show. */
async function rounds(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('silence for twenty minutes', () => {
  let rig: RawRig;
  let time: VirtualTime;
  let client: RawClient;
  beforeEach(async () => {
    // A timer that was set in virtual time ends with it: nothing is used again.
    rig = await rawRig();
    time = new VirtualTime();
  });
  afterEach(async () => {
    time.end();
    await client.close();
    await rig.close();
  });

  async function send(request: RawRequest, bytes = requestBytes(request)): Promise<Received> {
    const coming = new Promise<Received>((resolve) => {
      rig.upstream.serve = resolve;
    });
    client.write(bytes);
    return coming;
  }

  for (const way of ['direct', 'tunnel'] as const) {
    for (const request of [messageRequest('thinking'), { path: '/api/stream' }]) {
      it(`before an answer and within it is nothing to us (${request.path}, ${way})`, async () => {
        client = await RawClient.open(rig, { way });
        // Twice: on a new connection to the API, and on one that was idle before.
        for (let turn = 0; turn < 2; turn += 1) {
          const received = await send(request);
          await received.whole();
          time.pass(TWENTY_MINUTES);
          await rounds();
          received.send(HEAD);
          expect((await client.head()).line).to.equal('HTTP/1.1 200 OK');
          for (let pings = 0; pings < 3; pings += 1) {
            time.pass(TWENTY_MINUTES);
            await rounds();
            received.send(PING);
            expect((await client.reader.exactly(PING.length)).toString()).to.equal(PING);
          }
          time.pass(TWENTY_MINUTES);
          await rounds();
          received.send(END);
          expect((await client.reader.exactly(END.length)).toString()).to.equal(END);
        }
      });
    }

    it(`within a request's body is nothing to us (${way})`, async () => {
      client = await RawClient.open(rig, { way });
      const request = messageRequest('slow');
      const bytes = requestBytes(request);
      const received = await send(request, bytes.subarray(0, -5));
      time.pass(TWENTY_MINUTES);
      await rounds();
      client.write(bytes.subarray(-5));
      expect((await received.whole()).whole).to.equal(true);
      received.send(OK);
      expect((await client.answer('POST')).text).to.equal('ok');
    });
  }

  it('after an answer is: connections that nobody uses are closed, on both sides', async () => {
    client = await RawClient.open(rig);
    rig.upstream.serve = answering(OK);
    client.write(requestBytes({ path: '/api/x' }));
    expect((await client.answer()).text).to.equal('ok');
    const upstreamGone = rig.upstream.requests.at(-1)?.socket;
    const closed = Promise.all([
      once(client.socket, 'close'),
      upstreamGone === undefined || upstreamGone.closed ? null : once(upstreamGone, 'close'),
    ]);
    time.pass(TWENTY_MINUTES);
    await closed;
  });
});
