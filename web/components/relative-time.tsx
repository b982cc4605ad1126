/** Relative times. Each is a text node bound to the clock, so a tick renders nothing else. */
import { useComputed, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useLayoutEffect } from 'preact/hooks';
import { dateTime, duration, span } from '../format.ts';
import { currentSecond } from '../state/clock.ts';

/** How long ago `at` was: `42 s`, or with `past`: `42 s ago` and `just now`. */
export function TimeAgo({ at, past = false }: { readonly at: number; readonly past?: boolean }): JSX.Element {
  const since = useSignal(at);
  useLayoutEffect(() => void (since.value = at), [at]);
  const text = useComputed(() => {
    const age = span(currentSecond.value - since.value);
    if (!past) return age;
    return age === 'now' ? 'just now' : `${age} ago`;
  });
  return (
    <time class="number" dateTime={new Date(at).toISOString()} title={dateTime(at)}>
      {text}
    </time>
  );
}

/** The time until `at`: `in 12 s`, then `now`. */
export function Countdown({ at }: { readonly at: number }): JSX.Element {
  const until = useSignal(at);
  useLayoutEffect(() => void (until.value = at), [at]);
  const text = useComputed(() => {
    const left = Math.ceil((until.value - currentSecond.value) / 1_000);
    return left <= 0 ? 'now' : `in ${duration(left * 1_000)}`;
  });
  return <span class="number">{text}</span>;
}
