import { expect } from 'chai';
import { startSimulatedApi, type Recording, type RecordedRequest } from '../../../src/simulated-api/index.ts';
import { ask, question } from './client.ts';

describe('simulated API: recorder', () => {
  async function recorded(record: Recording): Promise<readonly RecordedRequest[]> {
    const api = await startSimulatedApi({ record });
    for (let count = 0; count < 3; count += 1) await ask(api, question());
    await api.close();
    return api.requests;
  }

  it('keeps everything', async () => {
    const requests = await recorded('all');
    expect(requests.map(({ body }) => body.length > 0)).to.deep.equal([true, true, true]);
  });

  it('keeps heads and figures without bodies', async () => {
    const requests = await recorded('heads');
    expect(requests.map(({ body }) => body.length)).to.deep.equal([0, 0, 0]);
    expect(requests[0]?.json).to.equal(undefined);
    expect(requests[0]?.usage?.input_tokens).to.be.above(0);
  });

  it('keeps the last few', async () => {
    const requests = await recorded(2);
    expect(requests.map(({ number }) => number)).to.deep.equal([2, 3]);
  });
});
