/**
 * Shows the Markdown of a summary as elements. A model wrote the text, so HTML in it is shown as text, images are not
 * loaded, and only links to the web and to mail addresses can be followed.
 */
import { Lexer, type MarkedToken, type Token, type Tokens, type TokensList } from 'marked';
import type { ComponentChild, ComponentChildren, JSX } from 'preact';
import { memo } from 'preact/compat';

/** Characters. A longer summary is shown as plain text: the limits below bound the time per character only. */
const MAX_PARSED = 32_000;
/** Characters. The lexer needs quadratic time within one paragraph, so a longer paragraph is shown as plain text. */
const MAX_INLINE = 2_000;
/** Levels of lists and quotes within each other. The lexer needs quadratic time, and stack, for each level. */
const MAX_DEPTH = 12;

const LINK_PROTOCOLS = new Set(['http:', 'https:', 'mailto:']);

interface MarkdownProps {
  readonly text: string;
}

export const Markdown = memo(function Markdown({ text }: MarkdownProps): JSX.Element {
  return <div class="markdown">{renderMarkdown(text)}</div>;
});

/** Pure. A text that is too long, or that the lexer rejects, is one paragraph of plain text. */
export function renderMarkdown(text: string): ComponentChildren {
  if (text.length > MAX_PARSED) return <p>{text}</p>;
  try {
    return renderAll(new BoundedLexer().lex(text));
  } catch {
    return <p>{text}</p>;
  }
}

/** Lexes long paragraphs and deeply nested blocks as plain text. */
class BoundedLexer extends Lexer {
  #depth = 0;

  override blockTokens(source: string, tokens?: Token[], lastParagraphClipped?: boolean): Token[];
  override blockTokens(source: string, tokens?: TokensList, lastParagraphClipped?: boolean): TokensList;
  override blockTokens(source: string, tokens: Token[] = [], lastParagraphClipped?: boolean): Token[] {
    if (this.#depth >= MAX_DEPTH) {
      tokens.push({ type: 'text', raw: source, text: source });
      return tokens;
    }
    this.#depth += 1;
    const lexed = super.blockTokens(source, tokens, lastParagraphClipped);
    this.#depth -= 1;
    return lexed;
  }

  override inline(source: string, tokens: Token[] = []): Token[] {
    if (source.length <= MAX_INLINE) return super.inline(source, tokens);
    tokens.push({ type: 'text', raw: source, text: source });
    return tokens;
  }
}

const renderAll = (tokens: readonly Token[] = []): ComponentChild[] =>
  tokens.map((token, key) => renderToken(token as MarkedToken, key));

function renderToken(token: MarkedToken, key: number): ComponentChild {
  switch (token.type) {
    case 'heading': {
      const Heading = token.depth <= 2 ? 'h3' : 'h4';
      return <Heading key={key}>{renderAll(token.tokens)}</Heading>;
    }
    case 'paragraph':
      return <p key={key}>{renderAll(token.tokens)}</p>;
    case 'list':
      return renderList(token, key);
    case 'table':
      return renderTable(token, key);
    case 'blockquote':
      return <blockquote key={key}>{renderAll(token.tokens)}</blockquote>;
    case 'code':
      return (
        <pre key={key} tabIndex={0} role="group" aria-label="Code">
          {token.text}
        </pre>
      );
    case 'hr':
      return <hr key={key} />;
    case 'br':
      return <br key={key} />;
    case 'codespan':
      return <code key={key}>{token.text}</code>;
    case 'strong':
      return <strong key={key}>{renderAll(token.tokens)}</strong>;
    case 'em':
      return <em key={key}>{renderAll(token.tokens)}</em>;
    case 'del':
      return <del key={key}>{renderAll(token.tokens)}</del>;
    case 'link':
      return renderLink(token, key);
    case 'checkbox':
      return (
        <span key={key} role="img" aria-label={token.checked ? 'done' : 'not done'}>
          {token.checked ? '☑ ' : '☐ '}
        </span>
      );
    case 'text':
      return token.tokens === undefined ? token.text : renderAll(token.tokens);
    case 'escape':
      return token.text;
    case 'space':
      return null;
    default:
      return token.raw;
  }
}

function renderList({ ordered, start, items }: Tokens.List, key: number): JSX.Element {
  const children = items.map((item, at) => <li key={at}>{renderAll(item.tokens)}</li>);
  if (!ordered) return <ul key={key}>{children}</ul>;
  return (
    <ol key={key} start={start === '' ? 1 : start}>
      {children}
    </ol>
  );
}

function renderTable({ header, rows }: Tokens.Table, key: number): JSX.Element {
  return (
    <div key={key} class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table class="table">
        <thead>
          <tr>
            {header.map(({ tokens }, at) => (
              <th key={at} scope="col">
                {renderAll(tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((cells, row) => (
            <tr key={row}>
              {cells.map(({ tokens }, at) => (
                <td key={at}>{renderAll(tokens)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function renderLink({ href, raw, tokens }: Tokens.Link, key: number): ComponentChild {
  if (!URL.canParse(href) || !LINK_PROTOCOLS.has(new URL(href).protocol)) return raw;
  return (
    <a key={key} href={href} target="_blank" rel="noopener noreferrer">
      {renderAll(tokens)}
    </a>
  );
}
