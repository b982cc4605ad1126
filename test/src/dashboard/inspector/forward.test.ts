import { expect } from 'chai';
import type { StatelyInspectionEvent } from '@statelyai/inspect';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { openStage, type Stage } from '../../../e2e/flows.ts';
import { until } from '../../redirector/sockets.ts';

/** A viewer of the standard protocol: keeps what it is sent. */
class Viewer {
  readonly events: StatelyInspectionEvent[] = [];
  readonly text: string[] = [];
  readonly sockets: WebSocket[] = [];
  readonly server: WebSocketServer;

  constructor() {
    this.server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    this.server.on('connection', (socket) => {
      this.sockets.push(socket);
      socket.on('message', (data: Buffer) => {
        this.text.push(data.toString());
        this.events.push(JSON.parse(data.toString()) as StatelyInspectionEvent);
      });
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

describe('inspection forwarded to a viewer (DBPROXY_INSPECT)', () => {
  let viewer: Viewer;
  let stage: Stage;
  before(async () => {
    viewer = new Viewer();
    await new Promise((resolve) => viewer.server.once('listening', resolve));
    stage = await openStage({ DBPROXY_INSPECT: viewer.url });
    await until(() => of('@xstate.actor').length > 0);
  });
  after(async () => {
    await stage.close();
    await viewer.close();
  });

  const of = <Type extends StatelyInspectionEvent['type']>(type: Type) =>
    viewer.events.filter((event): event is Extract<StatelyInspectionEvent, { type: Type }> => event.type === type);

  it('tells of actors, their statecharts, events and snapshots in the standard protocol', async () => {
    const client = await stage.checkpointed({}, 'canary-question');
    await until(() => of('@xstate.snapshot').some(({ snapshot }) => JSON.stringify(snapshot).includes('"wal"')));
    const actors = of('@xstate.actor');
    const conversation = actors.find(({ name }) => name === `conversation:${client.session}`);
    expect(conversation?.sessionId).to.match(/^x:/);
    expect(JSON.parse(conversation?.definition ?? '{}')).to.have.property('id', 'conversation');
    expect(conversation?.parentId).to.equal(actors.find(({ parentId }) => parentId === undefined)?.sessionId);
    const charts = actors.map(({ definition }) => (JSON.parse(definition ?? '{}') as { id?: string }).id);
    expect(charts).to.include.members(['supervisor', 'service', 'conversation', 'breaker']);
    const completed = of('@xstate.event').find(({ event }) => event.type === 'turn.completed');
    expect(completed?.sessionId).to.equal(conversation?.sessionId);
    expect(completed?.event).to.include({ model: 'claude-sonnet-4-6' });
    for (const event of viewer.events) expect(event).to.include.keys('type', 'sessionId', 'createdAt', '_version');
  });

  it('tells nothing of what was said, and no credentials', () => {
    expect(viewer.text.length).to.be.above(10);
    for (const secret of ['canary-question', 'SIMULATED-SUMMARY', 'sk-ant', 'x-api-key', stage.proxy.access.token]) {
      expect(viewer.text.filter((text) => text.includes(secret))).to.deep.equal([]);
    }
  });
});
