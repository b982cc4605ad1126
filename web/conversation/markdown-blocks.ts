/** The Markdown that models write in summaries, cut into blocks. Pure. */

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
