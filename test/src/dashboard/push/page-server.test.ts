import { expect } from 'chai';
import { conversationId } from '../../../../machines/units.ts';
import { ROOM } from '../../../../src/dashboard/inspector/records.ts';
import { FULL, LARGE, openStage, type Stage } from '../../../e2e/flows.ts';
import { said } from '../../../machines/conversation-rig.ts';
import { until } from '../../redirector/sockets.ts';
import { Page } from '../page.ts';

describe('the pages that are open', () => {
  let stage: Stage;
  const pages: Page[] = [];
  const open = async (): Promise<Page> => {
    const page = await Page.open(stage);
    pages.push(page);
    return page;
  };
  before(async () => {
    stage = await openStage();
  });
  afterEach(() => {
    for (const page of pages.splice(0)) page.close();
  });
  after(() => stage.close());

  it('are told at first what there is', async () => {
    const client = await stage.checkpointed();
    const page = await open();
    expect(page.hello).to.include({ contract: 2, passthrough: false, version: '0.1.0' });
    expect(page.hello?.thresholds).to.deep.equal({ checkpoint: 0.7, swap: 0.8 });
    expect(page.hello?.setup.proxyUrl).to.equal(`http://127.0.0.1:${stage.proxy.ports.proxy}`);
    expect(page.told).to.deep.equal(['hello', 'conversations', 'totals', 'history', 'log']);
    const view = page.conversation(client.session);
    expect(view).to.include({ phase: 'WAL_ACTIVE', kind: 'main', parent: null, model: 'claude-sonnet-4-6' });
    expect(view.marks).to.deep.equal({ checkpoint: 126_000, swap: 144_000, client: 167_000 });
    expect(view.name).to.include({ from: 'words', text: `Please fix the parser of ${client.session}.` });
    expect([view.effectiveWindow, view.messages, view.covered]).to.deep.equal([180_000, 1, 1]);
    expect(page.totals?.checkpoints.made).to.be.at.least(1);
  });

  it('see a conversation go through all four phases, and what was saved', async () => {
    const page = await open();
    const client = stage.client();
    const is = (phase: string) => until(() => page.conversations.get(client.session)?.phase === phase);
    await client.say('Read the notes.');
    await is('IDLE');
    let finish: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (finish = resolve));
    stage.summarise(client, async () => {
      await held;
      return { blocks: [{ type: 'text', text: '<summary>THE SUMMARY</summary>' }] };
    });
    stage.size(client, LARGE);
    await client.say('Now the lexer.');
    await is('CHECKPOINTING');
    expect(page.conversation(client.session).call).to.include({ state: 'running', tries: 1 });
    finish();
    await is('WAL_ACTIVE');
    stage.size(client, FULL);
    await client.say('And the parser.');
    await is('SWAP_READY');
    await client.compact();
    await client.say('Go on.');
    await is('IDLE');
    await until(() => page.conversation(client.session).counters.confirmed === 1);
    expect(page.conversation(client.session).counters).to.include({ served: 1, confirmed: 1 });
    await until(() => page.totals?.compactions.confirmed === 1);
    expect(page.totals?.checkpoints).to.include({ used: 1 });
    expect(page.totals?.savedMs).to.be.at.least(0);
    const events = page.log.map(({ event }) => event);
    expect(events).to.include.members(['phase.changed', 'checkpoint.started', 'compaction.served', 'history.replaced']);
    await until(() => [...page.buckets.values()].reduce((sum, bucket) => sum + bucket.served, 0) === 1);
  });

  it('see one conversation in detail, its messages from its next request on', async () => {
    const client = await stage.checkpointed({}, 'First question.', 'Second question.');
    const page = await open();
    const outcome = await page.openDetail(client.session);
    expect(outcome.ok).to.equal(true);
    expect(page.detail?.messages).to.deep.equal({ state: 'waiting' });
    expect(page.detail?.checkpoint?.summary).to.include('SIMULATED-SUMMARY');
    expect(page.detail?.phases.map(({ phase }) => phase)).to.deep.equal(['IDLE', 'CHECKPOINTING', 'WAL_ACTIVE']);
    expect(page.detail?.samples).to.have.length(2);
    expect(page.detail?.marks.map(({ kind }) => kind)).to.deep.equal(['checkpoint']);
    await client.say('Third question.');
    await until(() => page.detail?.messages.state === 'shown');
    const { messages } = page.detail ?? {};
    if (messages?.state !== 'shown') throw new Error('there are no messages');
    expect(messages.total).to.equal(5);
    expect(messages.messages.at(-1)).to.deep.include({ index: 4, role: 'user' });
    expect(messages.messages.at(-1)?.blocks[0]).to.include({ type: 'text', text: 'Third question.' });
    expect(page.conversation(client.session).covered).to.equal(3);
    await client.compact();
    await until(() => page.detail?.lastSwap?.taken === null);
    stage.size(client, 20_000);
    await client.say('Go on.');
    await until(() => page.detail?.lastSwap?.usedAfter !== null);
    expect(page.detail?.lastSwap).to.include({ taken: true, messagesBefore: 6, recentMessages: 3 });
    expect(page.detail?.checkpoint).to.equal(null);
  });

  it('are told in full again what nobody watched, and keep nothing of it afterwards', async () => {
    const client = await stage.checkpointed();
    const page = await open();
    await page.openDetail(client.session);
    await client.say('What was said while somebody looked.');
    await until(() => page.detail?.messages.state === 'shown');
    page.socket.emit('detail.close');
    await page.openDetail(client.session);
    expect(page.detail?.messages).to.deep.equal({ state: 'waiting' });
    expect(await page.openDetail('none such')).to.deep.include({ ok: false });
  });

  it('reset a conversation', async () => {
    const client = await stage.checkpointed();
    const page = await open();
    await page.openDetail(client.session);
    expect(await page.reset(client.session)).to.deep.equal({ ok: true, value: null });
    await until(() => page.conversation(client.session).phase === 'IDLE');
    await until(() => page.detail?.checkpoint === null);
    expect(page.detail?.marks.at(-1)?.kind).to.equal('reset');
    expect(await page.reset('none such')).to.deep.include({ ok: false });
    const compacted = await client.compact();
    expect(compacted.headers['x-double-buffer-served']).to.equal(undefined);
  });

  it('see subagents below their parent', async () => {
    const page = await open();
    const client = stage.client();
    await client.say('Delegate it.');
    const agent = stage.client({ session: client.session, agent: 'a1' });
    await agent.say('Count the tests.');
    await until(() => page.conversations.has(`${client.session}.a1`));
    expect(page.conversation(`${client.session}.a1`)).to.include({ kind: 'subagent', parent: client.session });
  });

  it('hear of errors of the API', async () => {
    const page = await open();
    stage.api.fault({ kind: 'status', status: 529, message: 'too much' });
    await stage.client().say('Anybody there?');
    await until(() => page.totals?.apiErrors.some(({ status }) => status === 529) === true);
    await until(() => page.log.some(({ event, fields }) => event === 'api.error' && fields['status'] === 529));
  });

  it('are told at most ten times a second, however much happens', async () => {
    const page = await open();
    const client = stage.client();
    await client.say('Begin.');
    await until(() => page.conversations.has(client.session));
    const before = page.told.filter((name) => name === 'conversations').length;
    const began = Date.now();
    const others = Array.from({ length: 20 }, () => stage.client());
    await Promise.all(others.map((other) => other.say('All at once.')));
    await until(() => others.every((other) => page.conversations.get(other.session)?.used !== 0));
    const rounds = page.told.filter((name) => name === 'conversations').length - before;
    expect(rounds).to.be.at.most(Math.ceil((Date.now() - began) / 100) + 1);
  });

  it('that do not read miss what happens, and are told all of it anew when they do', async () => {
    const [page, witness] = [await open(), await open()];
    const { dashboard } = stage.proxy;
    const { engine } = page.socket.io as unknown as {
      engine: { transport: { ws: { pause(): void; resume(): void } } };
    };
    engine.transport.ws.pause();
    const rounds = page.told.length;
    let written = 0;
    const talk = (): void => {
      for (let at = 0; at < 1_000; at += 1) stage.proxy.log.info('much.said', { text: 'x'.repeat(500), at: written });
      written += 1_000;
    };
    await until(() => {
      talk();
      return dashboard.pages.behind === 1;
    });
    const client = stage.client();
    await client.say('Said behind its back.');
    for (let round = 0; round < 20; round += 1) talk();
    // Three rounds in which the one that reads is told something, and this one nothing.
    const heard = (): number => witness.told.filter((name) => name === 'log').length;
    const before = heard();
    await until(() => {
      stage.proxy.log.info('round.over');
      return heard() >= before + 3;
    });
    expect(dashboard.pages.behind).to.equal(1);
    engine.transport.ws.resume();
    await until(() => page.told.slice(rounds).includes('hello') && page.conversations.has(client.session));
    await until(() => dashboard.pages.behind === 0);
    expect(page.log.length).to.be.at.most(3_000);
    const log = page.log.length;
    stage.proxy.log.info('heard.again');
    await until(() => page.log.slice(log).some(({ event }) => event === 'heard.again'));
  });

  it('are told all that the actor does which they look at, and of what all others do no more than can be read', async () => {
    const client = await stage.checkpointed();
    const { supervisor } = stage.proxy;
    const conversation = supervisor.getSnapshot().children[`conversation:${client.session}`];
    if (conversation === undefined) throw new Error('there is no conversation');
    const page = await open();
    await page.inspect();
    page.socket.emit('inspector.watch', [conversation.sessionId]);
    await page.inspect(); // an answer, so that the other has been read
    page.records.length = 0;
    for (let at = 0; at < 5 * ROOM; at += 1) {
      supervisor.send({ type: 'conversation.closed', id: conversationId('none such') });
      if (at % 2 === 0) conversation.send(said.started());
    }
    const taken = (session: string): number =>
      page.records.filter((record) => record.kind === 'event' && record.receiver === session).length;
    await until(() => taken(conversation.sessionId) === 2.5 * ROOM);
    expect(taken(supervisor.sessionId)).to.equal(ROOM);
    const left = page.records.flatMap((record) => (record.kind === 'left_out' ? [record.events] : []));
    expect(left).to.deep.equal([4 * ROOM]);
  });

  it('do not hold up the end of the proxy', async () => {
    const other = await openStage();
    const page = await Page.open(other);
    await page.inspect();
    const began = Date.now();
    await other.close();
    expect(Date.now() - began).to.be.below(2_000);
    await until(() => !page.socket.connected);
  });

  it('cost nothing once they are closed', async () => {
    const page = await open();
    const client = await stage.checkpointed();
    await page.openDetail(client.session);
    await page.inspect();
    page.close();
    const { dashboard } = stage.proxy;
    await until(() => dashboard.pages.size === 0);
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    await until(() => !dashboard.pages.isRoundScheduled);
    const before = timers();
    await client.say('Nobody looks.');
    expect(dashboard.pages.isRoundScheduled).to.equal(false);
    // One more may wait for a moment: the exchange is read once its bytes have left.
    await until(() => timers() <= before + 1);
    expect(dashboard.views.detail(client.session as never)?.messages).to.deep.equal({ state: 'waiting' });
  });
});
