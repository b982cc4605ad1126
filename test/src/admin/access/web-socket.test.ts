import { expect } from 'chai';
import { openStage, type Stage } from '../../../e2e/flows.ts';
import { RawClient } from '../../forwarder/raw-client.ts';
import { until } from '../../redirector/sockets.ts';
import { Page } from '../../dashboard/page.ts';

const WEBSOCKET = [
  ...['connection', 'Upgrade', 'upgrade', 'websocket', 'sec-websocket-version', '13'],
  ...['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
];
const PATH = '/socket.io/?EIO=4&transport=websocket';

describe('the web socket of the pages', () => {
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  const own = (): string => `localhost:${stage.proxy.ports.dashboard}`;

  /** What comes back for an upgrade, until the connection ends or something was upgraded. */
  async function upgrade(host: string, headers: readonly string[], path = PATH): Promise<string> {
    const client = await RawClient.open(stage);
    let text = '';
    let ended = false;
    client.socket.on('data', (chunk: Buffer) => void (text += chunk.toString('latin1')));
    client.socket.once('close', () => void (ended = true));
    const fields = ['Host', host, ...WEBSOCKET, ...headers];
    const lines = fields.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${fields[at + 1] ?? ''}`] : []));
    client.write(Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`));
    await until(() => ended || text.startsWith('HTTP/1.1 101') || text.includes('\r\n\r\n'));
    await client.close();
    return text;
  }

  const bearer = (token = stage.proxy.access.token): string[] => ['authorization', `Bearer ${token}`];

  it('opens for the token, from no page or from a page of ours', async () => {
    expect(await upgrade(own(), bearer())).to.match(/^HTTP\/1\.1 101 /);
    expect(await upgrade(own(), [...bearer(), 'origin', `https://${own()}`])).to.match(/^HTTP\/1\.1 101 /);
  });

  it('gives nothing to a wrong token, a foreign host or a foreign origin', async () => {
    await stage.client().say('canary-question');
    for (const [host, headers] of [
      [own(), []],
      [own(), bearer('wrong')],
      [own(), [...bearer(), 'origin', 'https://evil.example']],
      [own(), [...bearer(), 'origin', `https://localhost:${stage.proxy.ports.dashboard + 1}`]],
      ['evil.example', bearer()],
    ] as const) {
      const answer = await upgrade(host, headers);
      expect(answer, `${host} ${headers.join(' ')}`).not.to.match(/^HTTP\/1\.1 (101|200) /);
      expect(answer).not.to.include('canary').and.not.to.include('sid');
    }
    expect(stage.proxy.dashboard.pages.size).to.equal(0);
  });

  it('is no way round it by long polling', async () => {
    const answer = await upgrade(own(), [], '/socket.io/?EIO=4&transport=polling');
    expect(answer).not.to.match(/^HTTP\/1\.1 (101|200) /);
    const polled = await upgrade(own(), bearer(), '/socket.io/?EIO=4&transport=polling');
    expect(polled).not.to.include('sid');
  });

  it('takes nonsense from a page for what it is', async () => {
    const page = await Page.open(stage);
    const socket = page.socket as unknown as { emit: (...values: unknown[]) => void };
    socket.emit('detail.open');
    socket.emit('detail.open', 5, 6);
    socket.emit('detail.open', { toString: 1 }, 'x');
    socket.emit('conversation.reset', ['x']);
    socket.emit('inspector.open', 'x');
    socket.emit('inspector.watch', 'x');
    socket.emit('inspector.watch', [{}, 5, null]);
    socket.emit('__proto__', { a: 1 });
    expect((await page.openDetail('__proto__')).ok).to.equal(false);
    expect(page.socket.connected).to.equal(true);
    page.close();
  });
});
