/** The card of the last swap: the context before and after it, the time it saved, and the conversation's counters. */
import type { JSX } from 'preact';
import type { ConversationView, SwapView } from '../contract.ts';
import { clockTime, count, duration, plural, short } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';

interface SwapCardProps {
  readonly swap: SwapView | null;
  readonly counters: ConversationView['counters'];
}

export function SwapCard({ swap, counters }: SwapCardProps): JSX.Element {
  return (
    <section class="card">
      <header>
        <h2>Last swap</h2>
        {swap !== null && (
          <span class="muted align-end">
            {clockTime(swap.at)} · <TimeAgo at={swap.at} past />
          </span>
        )}
      </header>
      <div class="body">
        {swap === null ? (
          <p class="muted">None yet: no compaction was served from a checkpoint.</p>
        ) : (
          <Swap swap={swap} />
        )}
        <dl class="counters">
          <Counter name="checkpoints" value={counters.checkpoints} />
          <Counter name="failed" value={counters.failures} />
          <Counter name="served" value={counters.served} />
          <Counter name="accepted" value={counters.confirmed} />
          <Counter name="to the API" value={counters.forwarded} />
        </dl>
      </div>
    </section>
  );
}

const Counter = ({ name, value }: { readonly name: string; readonly value: number }): JSX.Element => (
  <div>
    <dt>{name}</dt>
    <dd class="number">{count(value)}</dd>
  </div>
);

function Swap({ swap }: { readonly swap: SwapView }): JSX.Element {
  return (
    <>
      <p class="time-saved">
        <strong>{duration(swap.savedMs)}</strong> saved
        <span class="muted"> · served in {duration(swap.waitedMs)}</span>
      </p>
      <div class="swap-comparison">
        <p>
          <span class="muted">before</span>
          <strong class="number">{short(swap.usedBefore)} tokens</strong>
          <span class="muted">{plural(swap.messagesBefore, 'message')}</span>
        </p>
        <span class="arrow" aria-hidden="true">
          →
        </span>
        <p>
          <span class="muted">after</span>
          <strong class="number">
            {swap.usedAfter === null ? 'not known yet' : `${short(swap.usedAfter)} tokens`}
          </strong>
          <span class="muted">
            summary of {short(swap.summaryChars)} characters,{' '}
            {swap.recentMessages === 0
              ? 'no recent messages'
              : `${plural(swap.recentMessages, 'recent message')} (${short(swap.recentChars)} characters)`}
          </span>
        </p>
      </div>
      <p class="muted">
        {swap.taken === null
          ? 'The next request shows whether Claude Code accepted it.'
          : swap.taken
            ? 'Claude Code accepted it and continued from it.'
            : 'Claude Code did not accept it and continued with the old history.'}
      </p>
    </>
  );
}
