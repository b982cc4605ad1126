/** One conversation: where it is in its life, how its context fills, what is in it, and what a compaction would get. */
import { useSignal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { ConversationView } from '../contract.ts';
import { count, dateTime, plural } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';
import { ConfirmDialog } from '../components/confirm-dialog.tsx';
import { CopyButton } from '../components/copy-button.tsx';
import { Icon } from '../components/icons.tsx';
import { PhaseBadge } from '../components/phase-badge.tsx';
import { connection, resetConversation } from '../state/connection.ts';
import { routeUrl } from '../state/route-url.ts';
import { conversation, detail, isListLoaded, nameOf } from '../state/store.ts';
import { CallNotice } from './call-notice.tsx';
import { CheckpointCard } from './checkpoint-card.tsx';
import { ContextCard } from './context-card.tsx';
import { Lifecycle } from './lifecycle.tsx';
import { Messages } from './messages.tsx';
import { SwapCard } from './swap-card.tsx';
import { TokensCard } from './tokens-card.tsx';

export function ConversationPage({ id }: { readonly id: string }): JSX.Element {
  const view = conversation(id);
  if (view !== undefined) return <Conversation view={view} />;
  return (
    <div class="conversation">
      <BackLink />
      <div class="empty">
        <h1>{isListLoaded.value ? 'This conversation is not here' : 'Fetching …'}</h1>
        {isListLoaded.value && (
          <p>
            The proxy does not know <code>{id}</code>. It may have been forgotten after a time without requests, or the
            proxy was restarted; with its next request it is here again.
          </p>
        )}
      </div>
    </div>
  );
}

const BackLink = (): JSX.Element => (
  <a class="back-link" href="#/">
    <Icon name="back" /> All conversations
  </a>
);

function Conversation({ view }: { readonly view: Signal<ConversationView> }): JSX.Element {
  const { value: it } = view;
  const known = detail.value?.id === it.id ? detail.value : null;
  return (
    <article class="conversation">
      <BackLink />
      <Head view={it} />
      <CallNotice call={it.call} />
      <div class="cards">
        <section class="card lifecycle-card" aria-label="Lifecycle">
          <Lifecycle view={it} />
          <ContextCard view={it} />
        </section>
        <TokensCard view={it} detail={known} />
        <Messages view={it} messages={known?.messages ?? null} />
        <div class="side-column">
          <CheckpointCard view={it} checkpoint={known?.checkpoint ?? null} loading={known === null} />
          <SwapCard swap={known?.lastSwap ?? null} counters={it.counters} />
        </div>
      </div>
    </article>
  );
}

function Head({ view }: { readonly view: ConversationView }): JSX.Element {
  const { name } = view;
  return (
    <header class="conversation-header">
      <div class="conversation-title">
        <h1>{name.text}</h1>
        <PhaseBadge phase={view.phase} />
        <span class="align-end">
          <a class="button" href={routeUrl({ page: 'log', conversation: view.id })}>
            Events
          </a>
          <a class="button" href={routeUrl({ page: 'inspector', actor: `conversation:${view.id}` })}>
            Inspect
          </a>
          <Reset view={view} />
        </span>
      </div>
      {name.words !== null && name.from !== 'words' && <p class="conversation-first-words muted">“{name.words}”</p>}
      <p class="metadata muted">
        <span class="tag">{view.kind === 'subagent' ? 'subagent' : 'agent'}</span>
        {view.parent !== null && (
          <span>
            of <a href={routeUrl({ page: 'conversations', id: view.parent })}>{nameOf(view.parent)}</a>
          </span>
        )}
        <span>{view.model ?? 'model not known yet'}</span>
        <span>{plural(view.messages, 'message')}</span>
        <span title={dateTime(view.created)}>
          begun <TimeAgo at={view.created} past />
        </span>
        <span>
          active <TimeAgo at={view.lastActivity} past />
        </span>
        {name.folder !== null && <span class="mono folder">{name.folder}</span>}
        <span class="id">
          <code>{view.id}</code> <CopyButton text={view.id} what="the conversation’s id" bare />
        </span>
      </p>
    </header>
  );
}

function Reset({ view }: { readonly view: ConversationView }): JSX.Element {
  const state = useSignal<'closed' | 'asking' | 'busy' | 'done'>('closed');
  const failure = useSignal<string | null>(null);
  const reset = async (): Promise<void> => {
    state.value = 'busy';
    const outcome = await resetConversation(view.id);
    failure.value = outcome.ok ? null : outcome.error.message;
    state.value = outcome.ok ? 'done' : 'asking';
  };
  const { covered } = view;
  return (
    <>
      <button
        type="button"
        class="button danger"
        disabled={connection.value.state !== 'live'}
        onClick={() => {
          failure.value = null;
          state.value = 'asking';
        }}
      >
        <Icon name="reset" /> Reset
      </button>
      {state.value !== 'closed' && (
        <ConfirmDialog
          title={`Reset “${view.name.text}”?`}
          action={state.value === 'busy' ? 'Resetting …' : 'Reset'}
          busy={state.value === 'busy'}
          finished={state.value === 'done'}
          onConfirm={() => void reset()}
          onClose={() => (state.value = 'closed')}
        >
          <p>
            {covered === null
              ? 'A checkpoint call that is running ends, and earlier tries and failures are forgotten.'
              : `The checkpoint is dropped, a summary of ${plural(covered, 'message')}. Another one costs another call.`}
          </p>
          <p class="muted">
            The conversation itself, and what Claude Code shows, stay as they are. It is {count(view.messages)} messages
            long, and the next answer decides whether a checkpoint is wanted.
          </p>
          {failure.value !== null && (
            <p class="failure" role="alert">
              Not reset: {failure.value}
            </p>
          )}
        </ConfirmDialog>
      )}
    </>
  );
}
