import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { Exchange, type BodySink } from '../../../src/forwarder/exchange.ts';
import { relay } from '../../../src/forwarder/relay.ts';
import { BatchWriter } from '../../../src/http1/batch-writer.ts';
import { silentLog } from '../../../src/log.ts';
import { UpstreamConnections, type ConnectionListener, type Lease } from '../../../src/upstream/connections.ts';

const BODY = Buffer.alloc(40_000, 'a');
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd';

/** A socket whose writes complete in the next round of the event loop, as those of TLS do. */
function socket(onWrite: () => void = () => undefined): Socket {
  const duplex = new Duplex({
    read: () => undefined,
    write(_chunk, _encoding, done) {
      onWrite();
      setImmediate(done);
    },
  });
  duplex.on('error', () => undefined);
  const chain = (): Duplex => duplex;
  const more = { destroySoon: () => duplex.destroy(), setTimeout: chain, setNoDelay: chain, setKeepAlive: chain };
  return Object.assign(duplex, more) as unknown as Socket;
}

const rounds = async (): Promise<void> => {
  for (let round = 0; round < 5; round += 1) await new Promise(setImmediate);
};

/** A relayed exchange without sockets: a test can let everything happen in one round of the event loop. */
class RelayHarness {
  readonly events: string[] = [];
  readonly exchange: Exchange;
  upstream: ConnectionListener | null = null;
  #body: BodySink | null = null;

  /** @param immediately true to run deferred work at once, as a further request of the session does */
  constructor(immediately = false) {
    const upstream = socket(() => this.events.push('write'));
    const lease: Lease = {
      socket: upstream,
      out: new BatchWriter(upstream),
      reused: false,
      nothingSent: false,
      setListener: (listener) => (this.upstream = listener),
      release: () => undefined,
      detach: () => upstream,
    };
    const connections = new UpstreamConnections({ url: new URL('http://127.0.0.1:9') });
    connections.lease = () => lease;
    const client = socket();
    const connection = {
      socket: client,
      isLastRequest: false,
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
        onRequestEnd: () => this.events.push('request end'),
        onAnswerHead: (status) => this.events.push(`head ${status}`),
        answerHeaders: () => {
          this.events.push('headers');
          return [];
        },
        onAnswerBody: (bytes) => this.events.push(`body ${bytes.toString()}`),
        onSettled: (outcome) => this.events.push(outcome),
        ...(immediately ? { defer: (work: () => void) => work() } : {}),
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

  /** All notifications, without the writes to the upstream. */
  async notifications(): Promise<string[]> {
    await rounds();
    return this.events.filter((event) => event !== 'write');
  }
}

describe('observer of a relayed exchange', () => {
  const ANSWERED = ['head 200', 'headers'];
  const WHOLE = [...ANSWERED, 'body abcd', 'complete'];

  it("is notified of a request's end after its last bytes have been written", async () => {
    const harness = new RelayHarness();
    harness.request();
    await rounds();
    expect(harness.events).to.deep.equal(['write', 'write', 'request end']);
    harness.answer(ANSWER);
    expect(await harness.notifications()).to.deep.equal(['request end', ...WHOLE]);
  });

  it("is notified of a complete request before the answer's head, even in the same round", async () => {
    const harness = new RelayHarness();
    harness.request();
    harness.answer(ANSWER);
    expect(await harness.notifications()).to.deep.equal(['request end', ...WHOLE]);
  });

  for (const immediately of [false, true]) {
    const when = immediately ? 'at once' : 'later';
    it(`is notified of a request that ends after the answer's head before the answer, which is parsed ${when}`, async () => {
      const harness = new RelayHarness(immediately);
      harness.answer(ANSWER.slice(0, -2));
      harness.request();
      harness.answer(ANSWER.slice(-2));
      const body = ['body ab', 'body cd'];
      expect(await harness.notifications()).to.deep.equal([...ANSWERED, 'request end', ...body, 'complete']);
    });
  }

  it('is not notified of the end of an incomplete request', async () => {
    const harness = new RelayHarness();
    harness.answer(ANSWER);
    expect(await harness.notifications()).to.deep.equal(WHOLE);
  });

  it("is notified of a request's end before the client disconnects", async () => {
    const harness = new RelayHarness();
    harness.request();
    harness.exchange.clientClosed();
    expect(await harness.notifications()).to.deep.equal(['request end', 'aborted']);
  });

  it("is notified of a request's end before the upstream disconnects, and labels the error sent instead", async () => {
    const harness = new RelayHarness();
    harness.request();
    harness.upstream?.onClose(true);
    expect(await harness.notifications()).to.deep.equal(['request end', 'failed', 'headers']);
  });

  it("is notified of a request's end before an upgrade", async () => {
    const harness = new RelayHarness();
    harness.request();
    harness.answer('HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n');
    expect(await harness.notifications()).to.deep.equal(['request end', 'aborted']);
  });

  it('is not notified of a request that ends after a truncated answer', async () => {
    const harness = new RelayHarness();
    harness.answer(ANSWER.slice(0, -2));
    harness.upstream?.onClose(true);
    harness.request();
    expect(await harness.notifications()).to.deep.equal([...ANSWERED, 'body ab', 'failed']);
  });

  it('is notified in the same order whatever happens in whatever round', async () => {
    const ORDER =
      /^(?:(?:request end )?(?:head 200 headers (?:request end )?(?:body \S+ )*)?)(?:complete|aborted|failed(?: headers)?) $/;
    const steps: Record<string, (harness: RelayHarness) => void> = {
      request: (harness) => harness.request(),
      head: (harness) => harness.answer(ANSWER.slice(0, -4)),
      answer: (harness) => harness.answer(ANSWER),
      body: (harness) => harness.answer('ab'),
      gone: (harness) => harness.exchange.clientClosed(),
      closed: (harness) => harness.upstream?.onClose(false),
      reset: (harness) => harness.upstream?.onClose(true),
    };
    const step = fc.constantFrom(...Object.keys(steps), 'round');
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), fc.boolean(), async (names, immediately) => {
        const harness = new RelayHarness(immediately);
        for (const name of names) {
          if (name === 'round') await rounds();
          else steps[name]?.(harness);
        }
        harness.exchange.clientClosed();
        expect(`${(await harness.notifications()).join(' ')} `).to.match(ORDER);
      }),
      { numRuns: 500 },
    );
  });
});
