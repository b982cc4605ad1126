/**
 * A summary as it is read: headings, lists, code and paragraphs of the Markdown that models write, as elements — never
 * as HTML, for the text is a model's. What is not known here stays as it was written.
 */
import type { JSX } from 'preact';

export function Markdown({ text }: { readonly text: string }): JSX.Element {
  return <div class="markdown">{blocksOf(text).map((block, at) => drawn(block, at))}</div>;
}

export type MarkdownBlock =
  | { readonly kind: 'heading' | 'paragraph'; readonly text: string }
  | { readonly kind: 'item'; readonly text: string; readonly mark: string; readonly depth: number }
  | { readonly kind: 'code'; readonly text: string };

/** Cuts a text into blocks. Pure. */
export function blocksOf(text: string): MarkdownBlock[] {
  const blocks: MarkdownBlock[] = [];
  let code: string[] | null = null;
  let paragraph: string[] = [];
  const end = (): void => {
    if (paragraph.length > 0) blocks.push({ kind: 'paragraph', text: paragraph.join('\n') });
    paragraph = [];
  };
  for (const line of text.split('\n')) {
    if (line.trimStart().startsWith('```')) {
      end();
      if (code !== null) blocks.push({ kind: 'code', text: code.join('\n') });
      code = code === null ? [] : null;
      continue;
    }
    if (code !== null) {
      code.push(line);
      continue;
    }
    const heading =
      /^#{1,6}\s+(.+)$/.exec(line) ?? /^(\d+\. [^:]{1,60}):\s*$/.exec(line) ?? /^\*\*([^*]+)\*\*:?\s*$/.exec(line);
    const item = /^(\s*)([-*•]|\d+[.)])\s+(.*)$/.exec(line);
    if (heading?.[1] !== undefined) {
      end();
      blocks.push({ kind: 'heading', text: heading[1] });
    } else if (item !== null) {
      end();
      const [, indent = '', mark = '', rest = ''] = item;
      blocks.push({
        kind: 'item',
        text: rest,
        mark: /\d/.test(mark) ? mark : '•',
        depth: Math.min(4, indent.length >> 1),
      });
    } else if (line.trim() === '') end();
    else paragraph.push(line);
  }
  end();
  if (code !== null) blocks.push({ kind: 'code', text: code.join('\n') });
  return blocks;
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
