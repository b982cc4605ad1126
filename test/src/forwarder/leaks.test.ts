import { expect } from 'chai';
import { messageRequest, question, RawClient, requestBytes } from './raw-client.ts';
import { quickRig } from './quick-rig.ts';
import { until } from '../redirector/sockets.ts';

const KEPT_ALIVE = 300;
const ABORTED = 100;
/** Clients at the same time. */
const ABREAST = 10;

/** Sockets, listeners and timers of this process. */
function handles(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) {
    if (/^(TCP|TLS|Pipe|Timeout|FSEvent)/.test(name)) counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

const sockets = (): number => handles()['TCPSocketWrap'] ?? 0;

describe('after many requests', () => {
  it('nothing is left of them, nor of the proxy when it has stopped', async () => {
    const warnings: string[] = [];
    const warned = (warning: Error): void => void warnings.push(warning.name);
    process.on('warning', warned);
    const outside = handles();
    outside['Timeout'] = (outside['Timeout'] ?? 0) + 2; // mocha's own, and the one of `until`
    const rig = await quickRig({}, { record: 'heads' });
    const idle = sockets();
    const clients = await Promise.all(
      Array.from({ length: ABREAST }, (_, at) => RawClient.open(rig, { way: at % 2 === 0 ? 'tunnel' : 'direct' })),
    );

    const kinds = ['main', 'auxiliary', 'compaction', null] as const;
    await Promise.all(
      clients.map(async (client, at) => {
        for (let turn = 0; turn < KEPT_ALIVE / ABREAST; turn += 1) {
          const requestClass = kinds[(at + turn) % kinds.length] ?? null;
          client.write(requestBytes(messageRequest(`client-${at}`, question(), { requestClass })));
          expect((await client.answer('POST')).status).to.equal(200);
        }
      }),
    );
    expect(rig.api.connections).to.be.at.most(ABREAST);

    // Left in turn: while uploading, before the head, in mid-stream.
    rig.api.fault({ kind: 'silence', at: 'before_head' }, { times: 1_000, when: { header: { 'x-leave': 'early' } } });
    rig.api.fault({ kind: 'silence', at: 'mid_stream' }, { times: 1_000, when: { header: { 'x-leave': 'late' } } });
    await Promise.all(
      Array.from({ length: ABREAST }, async (_, at) => {
        for (let turn = 0; turn < ABORTED / ABREAST; turn += 1) {
          const client = await RawClient.open(rig, { way: turn % 2 === 0 ? 'tunnel' : 'direct' });
          const how = ['upload', 'early', 'late'][turn % 3] ?? '';
          const requestClass = kinds[(at + turn) % kinds.length] ?? null;
          const session = `left-${at}-${turn}`;
          const sent = messageRequest(session, question(), {
            requestClass,
            headers: ['x-leave', how, 'x-name', session],
          });
          const bytes = requestBytes(sent);
          client.write(how === 'upload' ? bytes.subarray(0, bytes.length - 3) : bytes);
          if (how === 'early') await rig.api.waitFor(({ headers }) => headers['x-name'] === session);
          if (how === 'late') await client.head();
          await until(() => client.socket.writableLength === 0);
          await client.close();
        }
      }),
    );
    await until(() => rig.api.requests.every(({ outcome }) => outcome !== 'open'));

    await Promise.all(clients.map((client) => client.close()));
    // What may stay is the pool of idle connections to the API: two ends of each in this process.
    await until(() => sockets() <= idle + 2 * rig.api.connections);
    expect(rig.api.connections).to.be.at.most(ABREAST);
    expect(rig.log.filter(({ level }) => level === 'error')).to.deep.equal([]);
    await rig.close();
    await until(() => Object.entries(handles()).every(([name, count]) => count <= (outside[name] ?? 0)));
    process.off('warning', warned);
    expect(warnings).to.deep.equal([]);
  });
});
