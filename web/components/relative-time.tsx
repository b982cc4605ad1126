/** Ages that tick: each is one text node that follows the clock, and nothing around it is drawn anew. */
import { useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect } from 'preact/hooks';
import { dateTime, duration, span } from '../format.ts';
import { currentSecond } from '../state/clock.ts';

/** How long ago `at` was: `42 s`; within a sentence (`past`) `42 s ago`, or `just now`. */
export function TimeAgo({ at, past = false }: { readonly at: number; readonly past?: boolean }): JSX.Element {
  const since = useSignal(at);
  useLayoutEffect(() => void (since.value = at), [at]);
  const text = useComputed(() => {
    const gone = span(currentSecond.value - since.value);
    if (!past) return gone;
    return gone === 'now' ? 'just now' : `${gone} ago`;
  });
  return (
    <time class="number" dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {text}
    </time>
  );
}

/** How long it is until `at`: `in 12 s`, then `now`. */
export function Countdown({ at }: { readonly at: number }): JSX.Element {
  const then = useSignal(at);
  useLayoutEffect(() => void (then.value = at), [at]);
  const text = useComputed(() => {
    const left = Math.ceil((then.value - currentSecond.value) / 1_000);
    return left <= 0 ? 'now' : `in ${duration(left * 1_000)}`;
  });
  return <span class="number">{text}</span>;
}
