/** The page of one conversation: lifecycle, context, tokens over time, messages, checkpoint and last swap. */
import { useSignal, type Signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { ConversationView } from '../contract.ts';
import { dateTime, plural } from '../format.ts';
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
        <h1>{isListLoaded.value ? 'Conversation not found' : 'Loading …'}</h1>
        {isListLoaded.value && (
          <p>
            The proxy does not know <code>{id}</code>. It was removed after a time without requests, or the proxy was
            restarted. It appears again with its next request.
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
  const loaded = detail.value?.id === it.id ? detail.value : null;
  return (
    <article class="conversation">
      <BackLink />
      <ConversationHeader view={it} />
      <CallNotice call={it.call} />
      <div class="cards">
        <section class="card lifecycle-card" aria-label="Lifecycle">
          <Lifecycle view={it} />
          <ContextCard view={it} />
        </section>
        <TokensCard view={it} detail={loaded} />
        <Messages view={it} messages={loaded?.messages ?? null} />
        <div class="side-column">
          <CheckpointCard view={it} checkpoint={loaded?.checkpoint ?? null} loading={loaded === null} />
          <SwapCard swap={loaded?.lastSwap ?? null} counters={it.counters} />
        </div>
      </div>
    </article>
  );
}

function ConversationHeader({ view }: { readonly view: ConversationView }): JSX.Element {
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
          <ResetButton view={view} />
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
        <span>{view.model ?? 'model unknown'}</span>
        <span>{plural(view.messages, 'message')}</span>
        <span title={dateTime(view.created)}>
          started <TimeAgo at={view.created} past />
        </span>
        <span>
          active <TimeAgo at={view.lastActivity} past />
        </span>
        {name.folder !== null && <span class="mono folder">{name.folder}</span>}
        <span class="id">
          <code>{view.id}</code> <CopyButton text={view.id} what="the conversation’s id" iconOnly />
        </span>
      </p>
    </header>
  );
}

function ResetButton({ view }: { readonly view: ConversationView }): JSX.Element {
  const state = useSignal<'closed' | 'open' | 'busy' | 'done'>('closed');
  const failure = useSignal<string | null>(null);
  const reset = async (): Promise<void> => {
    state.value = 'busy';
    const outcome = await resetConversation(view.id);
    failure.value = outcome.ok ? null : outcome.error.message;
    state.value = outcome.ok ? 'done' : 'open';
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
          state.value = 'open';
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
              ? 'A running checkpoint call is cancelled, and attempts and failures are cleared.'
              : `The checkpoint (a summary of ${plural(covered, 'message')}) is deleted. A new one costs another API call.`}
          </p>
          <p class="muted">
            The conversation of {plural(view.messages, 'message')} and Claude Code are not affected. After the next
            answer, the proxy decides whether to compute a new checkpoint.
          </p>
          {failure.value !== null && (
            <p class="failure" role="alert">
              Reset failed: {failure.value}
            </p>
          )}
        </ConfirmDialog>
      )}
    </>
  );
}
