import { expect } from 'chai';
import { openStage, type Stage } from '../../e2e/flows.ts';
import { until } from '../redirector/sockets.ts';
import { Page } from './page.ts';

describe('a dashboard that breaks', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await openStage();
  });

  afterEach(() => stage.close());

  const service = () => stage.proxy.supervisor.getSnapshot().context.services.dashboard;

  it('is started again alone, by the supervisor; requests pass and conversations go on', async () => {
    await until(() => service().up);
    const client = await stage.checkpointed();
    const page = await Page.open(stage);
    const prototype = Object.getPrototypeOf(stage.proxy.dashboard.views) as { all: unknown };
    const original = prototype.all;
    // Reading the views throws inside a callback of a socket.
    prototype.all = () => {
      throw new Error('the views cannot be read');
    };
    const second = new Page(stage);
    try {
      await until(() => !service().up);
      expect(service().reason).to.equal('the views cannot be read');
      await until(() => !page.socket.connected);
    } finally {
      prototype.all = original;
      second.close();
      page.close();
    }
    expect((await client.say('Still there?')).status).to.equal(200);
    expect((await client.compact()).headers['x-double-buffer-served']).to.equal('checkpoint');
    await until(() => service().up);
    const third = await Page.open(stage);
    expect(third.hello).to.include({ contract: 2 });
    third.close();
    const { forwarder, redirector, store } = stage.proxy.supervisor.getSnapshot().context.services;
    expect([forwarder.up, redirector.up, store.up]).to.deep.equal([true, true, true]);
    expect(stage.log.filter(({ event }) => event === 'dashboard.failed')).to.have.length.at.least(1);
    expect(stage.log.filter(({ event }) => event === 'listener.listening')).to.have.length(2);
  });

  it('leaves nothing of itself on the server of the pages when it is started again and again', async () => {
    await until(() => service().up);
    const { dashboard } = stage.proxy;
    for (let times = 0; times < 3; times += 1) {
      dashboard.close();
      stage.proxy.supervisor.getSnapshot().children['dashboard']?.send({ type: 'service.failed', reason: 'a test' });
      await until(() => !service().up);
      await until(() => service().up);
      const page = await Page.open(stage);
      expect(page.told.filter((name) => name === 'hello')).to.have.length(1);
      page.close();
    }
  });
});
