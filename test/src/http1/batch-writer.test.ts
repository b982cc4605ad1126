import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import fc from 'fast-check';
import { BatchWriter } from '../../../src/http1/batch-writer.ts';
import { portOf } from '../redirector/sockets.ts';

const nextRound = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('the batch writer', () => {
  let near: Socket;
  let far: Socket;
  const server = createServer((socket) => {
    far = socket;
  });
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  beforeEach(async () => {
    const coming = once(server, 'connection');
    near = connect(portOf(server), '127.0.0.1').on('error', () => undefined);
    await Promise.all([once(near, 'connect'), coming]);
    far.on('error', () => undefined);
  });
  afterEach(() => {
    near.destroy();
    far.destroy();
  });
  after(() => void server.close());

  it('writes every byte in its order, whatever the sizes, pauses and flushes', async () => {
    const step = fc.record({
      size: fc.oneof(fc.nat(200), fc.integer({ min: 8_000, max: 9_000 }), fc.integer({ min: 16_000, max: 90_000 })),
      then: fc.constantFrom('go on', 'go on', 'wait', 'flush'),
    });
    const received: Buffer[] = [];
    let arrived = 0;
    let total = 0;
    far.on('data', (chunk: Buffer) => {
      received.push(chunk);
      arrived += chunk.length;
    });
    const writer = new BatchWriter(near);
    const sent: Buffer[] = [];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        for (const { size, then } of steps) {
          const bytes = Buffer.alloc(size, total % 251);
          total += size;
          sent.push(bytes);
          writer.write(bytes);
          if (then === 'wait') await nextRound();
          if (then === 'flush') writer.flush();
        }
      }),
      { numRuns: 60 },
    );
    writer.flush();
    while (arrived < total) await once(far, 'data');
    expect(Buffer.concat(received).equals(Buffer.concat(sent))).to.equal(true);
  });

  it('sends the first small piece of a round at once, and what follows in the same round together at its end', async () => {
    const writer = new BatchWriter(near);
    writer.write(Buffer.alloc(10));
    expect(near.bytesWritten).to.equal(10);
    for (let piece = 0; piece < 100; piece += 1) writer.write(Buffer.alloc(150));
    expect(near.bytesWritten).to.equal(10);
    await nextRound();
    expect(near.bytesWritten).to.equal(15_010);
    writer.write(Buffer.alloc(20));
    expect(near.bytesWritten).to.equal(15_030);
  });

  it('gathers what is large until there is enough, or the round ends', async () => {
    const writer = new BatchWriter(near);
    for (let piece = 0; piece < 3; piece += 1) writer.write(Buffer.alloc(16_384));
    expect(near.bytesWritten).to.equal(0);
    writer.write(Buffer.alloc(16_384));
    expect(near.bytesWritten).to.equal(65_536);
    writer.write(Buffer.alloc(16_384));
    expect(near.bytesWritten).to.equal(65_536);
    await nextRound();
    expect(near.bytesWritten).to.equal(81_920);
  });

  it('sends what is large with the first small piece behind it: that is where what was sent at once ends', async () => {
    const writer = new BatchWriter(near);
    writer.write(Buffer.alloc(16_384));
    writer.write(Buffer.alloc(113));
    expect(near.bytesWritten).to.equal(16_497);
    writer.write(Buffer.alloc(113));
    expect(near.bytesWritten).to.equal(16_497);
    await nextRound();
    expect(near.bytesWritten).to.equal(16_610);
  });

  it('gives the socket what lies side by side in memory as one piece, and waits while it writes', async () => {
    const writer = new BatchWriter(near);
    const whole = Buffer.alloc(100_000);
    const given: number[] = [];
    const write = near.write.bind(near);
    near.write = (bytes: Uint8Array | string) => {
      given.push(bytes.length);
      return write(bytes);
    };
    near.cork(); // as if it were still writing what comes first
    try {
      for (let at = 0; at < whole.length; at += 10_000) writer.write(whole.subarray(at, at + 10_000));
      writer.write(Buffer.alloc(10_000));
      await nextRound();
    } finally {
      near.uncork();
      near.write = write;
    }
    expect(given).to.deep.equal([10_000, 90_000, 10_000]);
  });

  it('says when the source should wait, and that it may go on after `drain`', async () => {
    const writer = new BatchWriter(near);
    far.pause();
    let written = 0;
    while (writer.write(Buffer.alloc(65_536))) {
      written += 65_536;
      expect(written).to.be.below(64 * 1024 * 1024);
      await nextRound();
    }
    expect(writer.isFull).to.equal(true);
    await nextRound();
    expect(near.writableLength).to.be.within(256 * 1024, 512 * 1024);
    const drained = once(near, 'drain');
    far.resume();
    await drained;
    expect(writer.isFull).to.equal(false);
  });

  it('writes nothing to a socket that is gone, and throws nothing', async () => {
    const writer = new BatchWriter(near);
    writer.write(Buffer.alloc(16_384));
    near.destroy();
    await nextRound();
    writer.write(Buffer.alloc(10));
    writer.write(Buffer.alloc(100_000));
    writer.flush();
    await nextRound();
    expect(near.destroyed).to.equal(true);
  });
});
