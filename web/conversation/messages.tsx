/**
 * The messages: those that are in the checkpoint's summary, the boundary, and the write-ahead part behind it. Long ones
 * are cut until somebody wants to read them; of a long history the newest are drawn first.
 */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { BlockView, ConversationView, MessagesView, MessageView } from '../contract.ts';
import { clockTime, count, plural } from '../format.ts';

/** How many are drawn at first, and more with each wish for earlier ones. */
const PAGE_SIZE = 40;
/** What is shown of a long text. */
const EXCERPT_CHARS = 480;
const EXCERPT_LINES = 8;

interface MessagesProps {
  readonly view: ConversationView;
  readonly messages: MessagesView | null;
}

export function Messages({ view, messages }: MessagesProps): JSX.Element {
  const { covered } = view;
  return (
    <section class="card messages-card">
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
        <p class="body muted">Fetching …</p>
      ) : messages.state === 'waiting' ? (
        <div class="body placeholder">
          <h3>They appear with the next request</h3>
          <p class="muted">
            The proxy keeps no message of a conversation that nobody looks at. From now on it shows them here, as long
            as this page is open.
          </p>
        </div>
      ) : (
        <MessageList total={messages.total} messages={messages.messages} covered={covered} at={messages.at} />
      )}
    </section>
  );
}

interface MessageListProps {
  readonly total: number;
  readonly messages: readonly MessageView[];
  readonly covered: number | null;
  readonly at: number;
}

function MessageList({ messages, covered, at }: MessageListProps): JSX.Element {
  const drawn = useSignal(PAGE_SIZE);
  const scroller = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  const from = Math.max(0, messages.length - drawn.value);
  const visible = messages.slice(from);
  const missing = messages[0]?.index ?? 0;
  useLayoutEffect(() => {
    const { current } = scroller;
    if (current !== null && atEnd.current) current.scrollTop = current.scrollHeight;
  }, [messages]);
  const inSummary = visible.filter(({ index }) => covered !== null && index < covered);
  const after = visible.slice(inSummary.length);
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
        <button type="button" class="button load-earlier" onClick={() => (drawn.value += 2 * PAGE_SIZE)}>
          Show {count(Math.min(from, 2 * PAGE_SIZE))} earlier of {count(from)}
        </button>
      )}
      {from === 0 && missing > 0 && (
        <p class="muted load-earlier">{plural(missing, 'earlier message')} left out because of their size</p>
      )}
      {covered !== null && (
        <ol class="in-summary" aria-label="In the checkpoint’s summary">
          {inSummary.map((message) => (
            <Message key={message.index} message={message} />
          ))}
        </ol>
      )}
      {covered !== null && (
        <p class="boundary">
          <strong>Checkpoint</strong>
          <span>
            {plural(covered, 'message')} above {covered === 1 ? 'is' : 'are'} in its summary ·{' '}
            {after.length === 0 ? 'nothing since' : `write-ahead: ${plural(after.length, 'message')} since`}
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
    <li class={`message ${message.role === 'assistant' ? 'assistant' : message.role === 'user' ? 'user' : 'system'}`}>
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
  tool_use: 'calls',
  tool_result: 'result',
  image: 'picture',
  document: 'document',
  other: '',
};

function Block({ block }: { readonly block: BlockView }): JSX.Element {
  const open = useSignal(false);
  const long = block.text.length > EXCERPT_CHARS || countLines(block.text) > EXCERPT_LINES;
  const text = long && !open.value ? excerpt(block.text) : block.text;
  const cut = open.value && block.chars > block.text.length;
  return (
    <div class={`block ${block.type} ${block.failed ? 'failed' : ''}`}>
      {block.type !== 'text' && (
        <p class="block-name">
          {BLOCK_NAME[block.type]} {block.name !== null && <code>{block.name}</code>} {block.failed && <em>failed</em>}
        </p>
      )}
      {text !== '' && <div class="block-text">{text}</div>}
      {cut && <p class="muted">… and {count(block.chars - block.text.length)} characters more, not shown here</p>}
      {long && (
        <button type="button" class="toggle" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
          {open.value ? 'Show less' : `Show all ${count(block.chars)} characters`}
        </button>
      )}
    </div>
  );
}

function countLines(text: string): number {
  let found = 1;
  for (let at = text.indexOf('\n'); at !== -1 && found <= EXCERPT_LINES; at = text.indexOf('\n', at + 1)) found += 1;
  return found;
}

const excerpt = (text: string): string =>
  `${text.slice(0, EXCERPT_CHARS).split('\n').slice(0, EXCERPT_LINES).join('\n').trimEnd()} …`;
