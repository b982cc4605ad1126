import { expect } from 'chai';
import fc from 'fast-check';
import { isValidElement, type ComponentChildren, type VNode } from 'preact';
import { renderMarkdown } from '../../../web/conversation/markdown.tsx';

type Element = VNode<Record<string, unknown>>;

/** The elements and the texts that `children` consist of, in document order. */
function flatten(children: ComponentChildren): (Element | string)[] {
  if (Array.isArray(children)) return (children as ComponentChildren[]).flatMap(flatten);
  if (typeof children === 'string') return [children];
  if (!isValidElement(children)) return [];
  const element = children as Element;
  return [element, ...flatten(element.props.children)];
}

const textOf = (markdown: string): string =>
  flatten(renderMarkdown(markdown))
    .filter((node) => typeof node === 'string')
    .join('');

const elementsOf = (markdown: string): Element[] =>
  flatten(renderMarkdown(markdown)).filter((node) => typeof node !== 'string');

/** `ul(li li(ol(li)))`: the elements by name, each with its children. */
function outline(children: ComponentChildren): string {
  if (Array.isArray(children)) return (children as ComponentChildren[]).map(outline).filter(Boolean).join(' ');
  if (!isValidElement(children)) return '';
  const { type, props } = children as Element;
  const inner = outline(props.children);
  return `${String(type)}${inner === '' ? '' : `(${inner})`}`;
}

describe('web/conversation/markdown', () => {
  for (const [what, markdown, expected] of [
    ['headings', '# One\n## Two\n### Three', 'h3 h3 h4'],
    ['paragraphs', 'One\nline.\n\nTwo', 'p p'],
    ['nested lists', '- one\n  - two\n    1. three\n- four', 'ul(li(ul(li(ol(li)))) li)'],
    ['task lists', '- [x] one\n- [ ] two', 'ul(li(span) li(span))'],
    ['tables', '| a | b |\n|---|---|\n| **1** | 2 |', 'div(table(thead(tr(th th)) tbody(tr(td(strong) td))))'],
    ['quotes', '> one\n>\n> - two', 'blockquote(p ul(li))'],
    ['code', '```ts\nconst a = 1;\n```\nand `b`', 'pre p(code)'],
    ['code without an end', '```\n# no heading\n<script>', 'pre'],
    ['emphasis', '**a *b*** ~~c~~', 'p(strong(em) del)'],
    ['rules', 'a\n\n---\n\nb', 'p hr p'],
    ['links', '[a](https://example.com) <b@example.com> https://c.example', 'p(a a a)'],
    ['images as text', '![a](https://example.com/a.png)', 'p'],
  ] as const) {
    it(`renders ${what}`, () => {
      expect(outline(renderMarkdown(markdown))).to.equal(expected);
    });
  }

  it('numbers an ordered list from its first number', () => {
    const [list] = elementsOf('3. three\n4. four');
    expect(list?.props['start']).to.equal(3);
  });

  it('opens links in a new page without opener and referrer', () => {
    const [, link] = elementsOf('[a](https://example.com/?q=1)');
    expect(link?.props).to.include({
      href: 'https://example.com/?q=1',
      target: '_blank',
      rel: 'noopener noreferrer',
    });
  });

  it('shows HTML and images as text', () => {
    for (const markdown of ['<script>alert(1)</script>', 'a <img src=x onerror=alert(1)> b', '![a](https://b.example)'])
      expect(textOf(markdown)).to.equal(markdown);
  });

  for (const href of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    'java\tscript:alert(1)',
    '&#106;avascript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'vbscript:x',
    'file:///etc/passwd',
    '//example.com',
    '#/inspector',
  ]) {
    it(`does not link to ${JSON.stringify(href)}`, () => {
      for (const markdown of [
        `[a](${href})`,
        `[a](<${href}>)`,
        `<${href}>`,
        `[a]\n\n[a]: ${href}`,
        `[a]: <${href}>\n[a]`,
      ])
        expect(elementsOf(markdown).map(({ type }) => type)).to.not.include('a');
    });
  }

  const FRAGMENTS = [
    ...['<script>', '</script>', '<img src=x onerror=alert(1)>', '<a href="javascript:alert(1)">', '<!--', '-->'],
    ...['](javascript:alert(1))', '](data:text/html,x)', '](https://example.com)', '[a]: javascript:alert(1)', '[a]'],
    ...['- ', '1. ', '> ', '# ', '```', '`', '**', '_', '~~', '|', '|-|', '\n', '\n\n', '  ', '\\', '&lt;', '!['],
    ...['<![CDATA[', 'www.a.b', 'a'],
  ];
  const hostile = fc.oneof(
    fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 60 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary', maxLength: 200 }),
  );
  const ELEMENTS =
    'h3 h4 p ul ol li div table thead tbody tr th td blockquote pre hr br code strong em del a span'.split(' ');
  const PROPERTIES = 'children class start tabIndex role aria-label scope href target rel'.split(' ');

  it('renders hostile text with the known elements and properties only', () => {
    fc.assert(
      fc.property(hostile, (markdown) => {
        for (const { type, props } of elementsOf(markdown)) {
          expect(type).to.be.oneOf(ELEMENTS);
          expect(PROPERTIES).to.include.members(Object.keys(props));
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('links hostile text to the web and to mail addresses only', () => {
    fc.assert(
      fc.property(hostile, (markdown) => {
        for (const { type, props } of elementsOf(markdown)) {
          if (type !== 'a') continue;
          expect(new URL(String(props['href'])).protocol).to.be.oneOf(['http:', 'https:', 'mailto:']);
          expect(props).to.include({ target: '_blank', rel: 'noopener noreferrer' });
        }
      }),
      { numRuns: 1_000 },
    );
  });

  const NESTED_LISTS = Array.from({ length: 200 }, (_, at) => `${'  '.repeat(at)}- a\n`).join('');
  const WORST_PARAGRAPH = `${'_a'.repeat(990)}\n\n`;
  for (const [what, piece] of [
    ...['[', '*', '`', '>', '_a', '1. ', '> - ', '![', '[a](', '<a ', '- a\n\n', 'a|', '\\[', '&', '[a]: x\n'].map(
      (text) => [JSON.stringify(text), text] as const,
    ),
    ['nested lists', NESTED_LISTS],
    ['paragraphs in the worst case', WORST_PARAGRAPH],
  ] as const) {
    for (const length of [32_000, 200_000]) {
      it(`renders ${length / 1_000} KB of ${what} in less than a second`, () => {
        const markdown = piece.repeat(Math.ceil(length / piece.length)).slice(0, length);
        const before = process.cpuUsage();
        const text = textOf(markdown);
        // CPU time, so that a busy machine does not fail the test.
        expect(process.cpuUsage(before).user / 1_000).to.be.below(1_000);
        if (length === 200_000) expect(text).to.equal(markdown);
      });
    }
  }
});
