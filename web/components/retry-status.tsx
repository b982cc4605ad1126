/** When a failed checkpoint call is retried. */
import type { JSX } from 'preact';
import type { CheckpointCallView } from '../contract.ts';
import { Countdown } from './relative-time.tsx';

export function RetryStatus({ call: { retryAt, state } }: { readonly call: CheckpointCallView }): JSX.Element {
  if (retryAt !== null) {
    return (
      <>
        Next attempt <Countdown at={retryAt} />
      </>
    );
  }
  if (state === 'given_up') return <>No retry until the history changes</>;
  return <>{state === 'running' ? 'Retrying now' : 'Retrying after the next answer'}</>;
}
