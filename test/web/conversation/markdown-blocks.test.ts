import { expect } from 'chai';
import { blocksOf } from '../../../web/conversation/markdown-blocks.ts';

describe('web/conversation/markdown-blocks', () => {
  it('tells headings, paragraphs, lists and code apart', () => {
    const text =
      '# Goal\nFix it.\nSoon.\n\n1. Primary Request:\n- one\n  - two\n3) three\n```ts\nconst a = 1;\n```\nEnd';
    expect(blocksOf(text)).to.deep.equal([
      { kind: 'heading', text: 'Goal' },
      { kind: 'paragraph', text: 'Fix it.\nSoon.' },
      { kind: 'heading', text: '1. Primary Request' },
      { kind: 'item', text: 'one', mark: '•', depth: 0 },
      { kind: 'item', text: 'two', mark: '•', depth: 1 },
      { kind: 'item', text: 'three', mark: '3)', depth: 0 },
      { kind: 'code', text: 'const a = 1;' },
      { kind: 'paragraph', text: 'End' },
    ]);
  });

  it('loses nothing of code that never ends', () => {
    expect(blocksOf('```\n# no heading\n<script>')).to.deep.equal([{ kind: 'code', text: '# no heading\n<script>' }]);
  });
});
