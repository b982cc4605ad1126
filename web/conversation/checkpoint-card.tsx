/** The card of the checkpoint that the next compaction is served from: its summary and its cost. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import type { CheckpointView, ConversationView } from '../contract.ts';
import { count, duration, percent, plural } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';
import { CopyButton } from '../components/copy-button.tsx';
import { routeUrl } from '../state/route-url.ts';
import { hello, nameOf } from '../state/store.ts';
import { Markdown } from './markdown.tsx';
import { TokenBar } from './token-bar.tsx';

interface CheckpointCardProps {
  readonly view: ConversationView;
  readonly checkpoint: CheckpointView | null;
  readonly loading: boolean;
}

export function CheckpointCard({ view, checkpoint, loading }: CheckpointCardProps): JSX.Element {
  return (
    <section class="card checkpoint-card">
      <header>
        <h2>Checkpoint</h2>
        {checkpoint !== null && (
          <span class="align-end">
            <CopyButton text={checkpoint.summary} what="the summary" />
          </span>
        )}
      </header>
      {checkpoint === null ? (
        <p class="body muted">{loading ? 'Loading …' : reasonForNone(view)}</p>
      ) : (
        <CheckpointDetails checkpoint={checkpoint} />
      )}
    </section>
  );
}

function reasonForNone(view: ConversationView): string {
  if (view.call.state === 'running')
    return 'The summary is being computed in the background and appears here when it is ready.';
  const { value } = hello;
  if (value?.passthrough === true) return 'Passthrough is on: no checkpoint is computed.';
  if (view.call.failure !== null) return 'None: the last call failed.';
  return value === null
    ? 'None yet.'
    : `None yet. One is computed when the context is ${percent(value.thresholds.checkpoint)} full.`;
}

function CheckpointDetails({ checkpoint }: { readonly checkpoint: CheckpointView }): JSX.Element {
  const expanded = useSignal(false);
  const { summary, covered, tokens, durationMs, computedFor } = checkpoint;
  return (
    <div class="body">
      <p class="muted metadata">
        <span>
          created <TimeAgo at={checkpoint.created} past />
        </span>
        <span>{plural(covered, 'message')}</span>
        <span>computed in {duration(durationMs)}</span>
        <span>{checkpoint.model}</span>
        {computedFor !== null && (
          <span>
            computed for <a href={routeUrl({ page: 'conversations', id: computedFor })}>{nameOf(computedFor)}</a>
          </span>
        )}
      </p>
      <TokenBar tokens={tokens} />
      <div class={expanded.value ? 'summary expanded' : 'summary'} tabIndex={0} role="region" aria-label="Summary">
        <Markdown text={summary} />
      </div>
      <button
        type="button"
        class="toggle"
        aria-expanded={expanded.value}
        onClick={() => (expanded.value = !expanded.value)}
      >
        {expanded.value ? 'Show less' : `Show all ${count(summary.length)} characters`}
      </button>
    </div>
  );
}
