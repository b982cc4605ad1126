/**
 * The messages: those that the checkpoint summarizes, the boundary, and the write-ahead part after it. Long messages
 * are collapsed; of a long history only the newest are rendered until more are requested.
 */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { BlockView, ConversationView, MessagesView, MessageView } from '../contract.ts';
import { clockTime, count, plural } from '../format.ts';

/** Messages rendered at first. */
const PAGE_SIZE = 40;
/** The part of a collapsed text that is shown. */
const EXCERPT_CHARS = 480;
const EXCERPT_LINES = 8;

interface MessagesProps {
  readonly view: ConversationView;
  readonly messages: MessagesView | null;
}

export function Messages({ view, messages }: MessagesProps): JSX.Element {
  const { covered } = view;
  return (
    <section class="card">
      <header>
        <h2>Messages</h2>
        {messages?.state === 'shown' && (
          <p class="muted align-end">
            {plural(messages.total, 'message')}
            {covered !== null && `, ${count(Math.max(0, messages.total - covered))} since the checkpoint`}
          </p>
        )}
      </header>
      {messages === null ? (
        <p class="body muted">Loading …</p>
      ) : messages.state === 'waiting' ? (
        <div class="body placeholder">
          <h3>Messages appear with the next request</h3>
          <p class="muted">The proxy keeps them only while this page is open.</p>
        </div>
      ) : (
        <MessageList messages={messages.messages} covered={covered} at={messages.at} />
      )}
    </section>
  );
}

interface MessageListProps {
  readonly messages: readonly MessageView[];
  readonly covered: number | null;
  readonly at: number;
}

function MessageList({ messages, covered, at }: MessageListProps): JSX.Element {
  const limit = useSignal(PAGE_SIZE);
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const from = Math.max(0, messages.length - limit.value);
  const visible = messages.slice(from);
  const omitted = messages[0]?.index ?? 0;
  useLayoutEffect(() => {
    const { current } = scroller;
    if (current !== null && atEnd.current) current.scrollTop = current.scrollHeight;
  }, [messages]);
  const summarized = visible.filter(({ index }) => covered !== null && index < covered);
  const after = visible.slice(summarized.length);
  return (
    <div
      ref={scroller}
      class="messages"
      tabIndex={0}
      role="region"
      aria-label={`Messages as of ${clockTime(at)}`}
      onScroll={({ currentTarget: it }) => (atEnd.current = it.scrollHeight - it.scrollTop - it.clientHeight < 24)}
    >
      {from > 0 && (
        <button type="button" class="button load-earlier" onClick={() => (limit.value += 2 * PAGE_SIZE)}>
          Show {count(Math.min(from, 2 * PAGE_SIZE))} earlier of {count(from)}
        </button>
      )}
      {from === 0 && omitted > 0 && (
        <p class="muted load-earlier">{plural(omitted, 'earlier message')} omitted because of their size</p>
      )}
      {covered !== null && (
        <ol class="summarized" aria-label="Summarized by the checkpoint">
          {summarized.map((message) => (
            <Message key={message.index} message={message} />
          ))}
        </ol>
      )}
      {covered !== null && (
        <p class="boundary">
          <strong>Checkpoint</strong>
          <span>
            {plural(covered, 'message')} above {covered === 1 ? 'is' : 'are'} summarized ·{' '}
            {after.length === 0 ? 'none since' : `write-ahead: ${plural(after.length, 'message')} since`}
          </span>
        </p>
      )}
      <ol
        class={covered === null ? undefined : 'write-ahead'}
        aria-label={covered === null ? 'Messages' : 'Write-ahead'}
      >
        {after.map((message) => (
          <Message key={message.index} message={message} />
        ))}
      </ol>
    </div>
  );
}

const sameMessage = (a: { message: MessageView }, b: { message: MessageView }): boolean =>
  a.message === b.message ||
  (a.message.index === b.message.index &&
    a.message.role === b.message.role &&
    a.message.blocks.length === b.message.blocks.length &&
    a.message.blocks.every((block, at) => {
      const other = b.message.blocks[at];
      return other?.type === block.type && other.chars === block.chars && other.text === block.text;
    }));

const Message = memo(function Message({ message }: { message: MessageView }): JSX.Element {
  return (
    <li class={message.role === 'assistant' ? 'message assistant' : 'message'}>
      <p class="message-head">
        <strong>{message.role}</strong>
        <span class="muted number">{message.index + 1}</span>
      </p>
      {message.blocks.map((block, at) => (
        <Block key={at} block={block} />
      ))}
    </li>
  );
}, sameMessage);

const BLOCK_NAME: Readonly<Record<BlockView['type'], string>> = {
  text: '',
  thinking: 'thinking',
  tool_use: 'tool call',
  tool_result: 'tool result',
  image: 'image',
  document: 'document',
  other: '',
};

function Block({ block }: { readonly block: BlockView }): JSX.Element {
  const expanded = useSignal(false);
  const long = block.text.length > EXCERPT_CHARS || countLines(block.text) > EXCERPT_LINES;
  const text = long && !expanded.value ? excerpt(block.text) : block.text;
  const truncated = expanded.value && block.chars > block.text.length;
  return (
    <div class={`block ${block.type} ${block.failed ? 'failed' : ''}`}>
      {block.type !== 'text' && (
        <p class="block-name">
          {BLOCK_NAME[block.type]} {block.name !== null && <code>{block.name}</code>} {block.failed && <em>failed</em>}
        </p>
      )}
      {text !== '' && <div class="block-text">{text}</div>}
      {truncated && <p class="muted">… {count(block.chars - block.text.length)} more characters not shown</p>}
      {long && (
        <button
          type="button"
          class="toggle"
          aria-expanded={expanded.value}
          onClick={() => (expanded.value = !expanded.value)}
        >
          {expanded.value ? 'Show less' : `Show all ${count(block.chars)} characters`}
        </button>
      )}
    </div>
  );
}

/** Lines of the text; counting stops above {@link EXCERPT_LINES}. */
function countLines(text: string): number {
  let lines = 1;
  for (let at = text.indexOf('\n'); at !== -1 && lines <= EXCERPT_LINES; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}

const excerpt = (text: string): string =>
  `${text.slice(0, EXCERPT_CHARS).split('\n').slice(0, EXCERPT_LINES).join('\n').trimEnd()} …`;
