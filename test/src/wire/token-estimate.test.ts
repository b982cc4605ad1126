import { expect } from 'chai';
import { estimateTokens } from '../../../src/wire/token-estimate.ts';
import { requestBody } from '../../support/histories.ts';

const estimate = (content: unknown): number =>
  estimateTokens(requestBody([{ role: 'user', content: content as string }]));

describe('an estimate of the tokens in a request', () => {
  const empty = estimate('');

  it('is a quarter of its bytes', () => {
    expect(estimate('x'.repeat(400_000)) - empty).to.equal(100_000);
    expect(estimateTokens(Buffer.alloc(0))).to.equal(0);
  });

  it('leaves out the data of images and documents, and only that', () => {
    const data = 'A'.repeat(400_000);
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } };
    const text = { type: 'text', text: `"type":"base64","data":"${data}"` };
    const call = { type: 'tool_use', id: 't', name: 'Write', input: { data } };
    expect(estimate([image, image])).to.be.below(empty + 100);
    expect(estimate([image, text])).to.be.within(100_000, empty + 100_200);
    expect(estimate([call])).to.be.within(100_000, empty + 100_200);
  });
});
