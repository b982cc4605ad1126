/**
 * A summary as it is read: headings, lists, code and paragraphs of the Markdown that models write, as elements — never
 * as HTML, for the text is a model's. What is not known here stays as it was written.
 */
import type { JSX } from 'preact';
import { blocksOf, type MarkdownBlock } from './markdown-blocks.ts';

export function Markdown({ text }: { readonly text: string }): JSX.Element {
  return <div class="markdown">{blocksOf(text).map((block, at) => drawn(block, at))}</div>;
}

function drawn(block: MarkdownBlock, at: number): JSX.Element {
  switch (block.kind) {
    case 'heading':
      return <h4 key={at}>{spans(block.text)}</h4>;
    case 'paragraph':
      return <p key={at}>{spans(block.text)}</p>;
    case 'code':
      return (
        <pre key={at} tabIndex={0} role="group" aria-label="Code">
          {block.text}
        </pre>
      );
    case 'item':
      return (
        <p key={at} class="item" style={{ marginLeft: `${block.depth * 16}px` }}>
          <span aria-hidden="true">{block.mark}</span>
          <span>{spans(block.text)}</span>
        </p>
      );
  }
}

/** `code` and **bold** within a line. */
function spans(text: string): (string | JSX.Element)[] {
  return text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((part, at) => {
    if (/^`[^`]+`$/.test(part)) return <code key={at}>{part.slice(1, -1)}</code>;
    if (/^\*\*[^*]+\*\*$/.test(part)) return <strong key={at}>{part.slice(2, -2)}</strong>;
    return part;
  });
}
