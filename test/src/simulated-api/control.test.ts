import { expect } from 'chai';
import { startSimulatedApi, type SimulatedApi } from '../../../src/simulated-api/index.ts';
import { ask, dig, question, send, textOf, type Reply } from './client.ts';

describe('simulated API: control endpoint', () => {
  let api: SimulatedApi;

  beforeEach(async () => {
    api = await startSimulatedApi();
  });

  afterEach(() => api.close());

  function control(method: string, what: string, body?: unknown): Promise<Reply> {
    return send(api, `/__simulated/${what}`, { method, body });
  }

  it('orders faults, lists them and calls them off', async () => {
    const fault = { kind: 'status', status: 529 };
    const ordered = await control('POST', 'faults', { fault, times: 3, when: { kind: 'messages' } });
    expect(ordered.status).to.equal(201);
    expect((await ask(api, question())).status).to.equal(529);
    expect(JSON.parse((await control('GET', 'faults')).text)).to.deep.equal([{ id: 1, fault, remaining: 2 }]);
    await control('DELETE', 'faults');
    expect((await ask(api, question())).status).to.equal(200);
  });

  it('orders an answer', async () => {
    const answer = { blocks: [{ type: 'text', text: 'As ordered.' }], promptTokens: 130_000 };
    await control('POST', 'faults', { fault: { kind: 'answer', answer } });
    expect(textOf(await ask(api, question()))).to.equal('As ordered.');
    expect(api.requests[0]?.usage?.input_tokens).to.equal(130_000);
  });

  const SLIPS: Readonly<Record<string, unknown>> = {
    'expected {': 'no JSON',
    'fault.kind': { fault: { kind: 'explosion' } },
    'fault.status: required': { fault: { kind: 'status' } },
    'fault.at: "never"': { fault: { kind: 'silence', at: 'never' } },
    'fault.afterEvent: unknown': { fault: { kind: 'error_event', afterEvent: 3 } },
    'when.sumary: unknown': { fault: { kind: 'noise' }, when: { sumary: true } },
    'times: expected': { fault: { kind: 'noise' }, times: 'often' },
  };
  for (const [problem, body] of Object.entries(SLIPS)) {
    it(`tells a slip: ${problem}`, async () => {
      const reply = await control('POST', 'faults', body);
      expect(reply.status).to.equal(400);
      expect(dig(JSON.parse(reply.text), 'error')).to.contain(problem);
    });
  }

  it('shows requests without credentials, with bodies on demand, and forgets them', async () => {
    await ask(api, question());
    await ask(api, question());
    const heads = await control('GET', 'requests');
    const bodies = await control('GET', 'requests?bodies=1&since=1');
    expect(JSON.parse(heads.text)).to.have.length(2);
    expect(heads.text).to.contain('"outcome":"answered"').and.not.contain('test-key');
    expect(JSON.parse(bodies.text)).to.have.length(1);
    expect(bodies.text).to.contain('How are you?');
    await control('POST', 'reset');
    expect(api.requests).to.be.empty;
  });

  it('sets the speed', async () => {
    await control('POST', 'speed', { firstByteMs: 50 });
    const start = performance.now();
    await ask(api, question());
    expect(performance.now() - start).to.be.above(45);
  });

  it('knows nothing else', async () => {
    expect((await control('GET', 'nonsense')).status).to.equal(404);
  });
});
