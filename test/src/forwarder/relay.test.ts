import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect } from 'chai';
import { Exchange, type BodySink } from '../../../src/forwarder/exchange.ts';
import { relay } from '../../../src/forwarder/relay.ts';
import { BatchWriter } from '../../../src/http1/batch-writer.ts';
import { silentLog } from '../../../src/log.ts';
import { UpstreamConnections, type ConnectionListener, type Lease } from '../../../src/upstream/connections.ts';

const BODY = Buffer.alloc(40_000, 'a');
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd';

/** A socket on which every write takes until the next round of the event loop, as TLS's do. */
function socket(onWrite: () => void = () => undefined): Socket {
  const made = new Duplex({
    read: () => undefined,
    write(_chunk, _encoding, done) {
      onWrite();
      setImmediate(done);
    },
  });
  made.on('error', () => undefined);
  const none = (): Duplex => made;
  const more = { destroySoon: () => made.destroy(), setTimeout: none, setNoDelay: none, setKeepAlive: none };
  return Object.assign(made, more) as unknown as Socket;
}

const rounds = async (): Promise<void> => {
  for (let round = 0; round < 5; round += 1) await new Promise(setImmediate);
};

/** An exchange under way, of which everything can be made to happen in one round. */
class Rig {
  readonly told: string[] = [];
  readonly exchange: Exchange;
  upstream: ConnectionListener | null = null;
  #body: BodySink | null = null;

  /** @param soon what is due a little later is done at once, as another request of the session would have it */
  constructor(soon = false) {
    const way = socket(() => this.told.push('write'));
    const lease: Lease = {
      socket: way,
      out: new BatchWriter(way),
      reused: false,
      nothingSent: false,
      setListener: (listener) => (this.upstream = listener),
      release: () => undefined,
      detach: () => way,
    };
    const connections = new UpstreamConnections({ url: new URL('http://127.0.0.1:9') });
    connections.lease = () => lease;
    const client = socket();
    const connection = {
      socket: client,
      lastRequest: false,
      readBody: (sink: BodySink) => (this.#body = sink),
      resumeBody: () => undefined,
      detach: () => Buffer.alloc(0),
      finish: () => undefined,
    };
    const head = { method: 'POST', target: '/v1/messages', version: 'HTTP/1.1', headers: ['Host', 'x'] };
    const framing = { kind: 'sized', bytes: BODY.length } as const;
    this.exchange = new Exchange(connection, head, framing, new BatchWriter(client));
    const options = { connections, log: silentLog, upstreamHost: 'x', upstreamPrefix: '' };
    relay(
      options,
      this.exchange,
      { headers: ['Content-Length', String(BODY.length)] },
      {
        requestEnd: () => this.told.push('request'),
        head: (status) => {
          this.told.push(`head ${status}`);
          return [];
        },
        end: () => this.told.push('end'),
        failed: () => this.told.push('failed'),
        over: (whole) => this.told.push(whole ? 'over, whole' : 'over'),
        ...(soon ? { later: (work: () => void) => work() } : {}),
      },
    );
  }

  request(): void {
    this.#body?.write(BODY);
    this.#body?.end();
  }

  answer(bytes: string): void {
    this.upstream?.onData(Buffer.from(bytes));
  }

  /** What was told, but for the writes, when everything has happened. */
  async all(): Promise<string[]> {
    await rounds();
    return this.told.filter((what) => what !== 'write');
  }
}

describe('who looks on while an exchange passes', () => {
  it("is told of a request's end when its last bytes have been written, not when they wait for that", async () => {
    const rig = new Rig();
    rig.request();
    await rounds();
    expect(rig.told).to.deep.equal(['write', 'write', 'request']);
    rig.answer(ANSWER);
    expect(await rig.all()).to.deep.equal(['request', 'head 200', 'end', 'over, whole']);
  });

  it("is told of it before the answer's head, however soon that comes", async () => {
    const rig = new Rig();
    rig.request();
    rig.answer(ANSWER);
    expect(await rig.all()).to.deep.equal(['request', 'head 200', 'end', 'over, whole']);
  });

  for (const soon of [false, true]) {
    it(`is told of it before the answer's end, whose head came first${soon ? ', and which is read at once' : ''}`, async () => {
      const rig = new Rig(soon);
      rig.answer(ANSWER.slice(0, -2));
      rig.request();
      rig.answer(ANSWER.slice(-2));
      expect(await rig.all()).to.deep.equal(['head 200', 'request', 'end', 'over, whole']);
    });
  }

  it('is told of no end where the request had none', async () => {
    const rig = new Rig();
    rig.answer(ANSWER);
    expect(await rig.all()).to.deep.equal(['head 200', 'end', 'over, whole']);
  });

  it('is told of it before the client has gone', async () => {
    const rig = new Rig();
    rig.request();
    rig.exchange.clientClosed();
    expect(await rig.all()).to.deep.equal(['request', 'over']);
  });

  it('is told of it before the API has gone', async () => {
    const rig = new Rig();
    rig.request();
    rig.upstream?.onClose(true);
    expect(await rig.all()).to.deep.equal(['request', 'over', 'failed', 'head 502']);
  });

  it('is told of it before the API speaks another protocol', async () => {
    const rig = new Rig();
    rig.request();
    rig.answer('HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n');
    expect(await rig.all()).to.deep.equal(['request', 'over']);
  });

  it('is told of no end after an answer that broke off', async () => {
    const rig = new Rig();
    rig.answer(ANSWER.slice(0, -2));
    rig.upstream?.onClose(true);
    rig.request();
    expect(await rig.all()).to.deep.equal(['head 200', 'over', 'failed']);
  });
});
