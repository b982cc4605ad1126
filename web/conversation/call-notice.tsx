/** The checkpoint call when it deserves a word: it failed, waits, was given up. */
import type { JSX } from 'preact';
import type { CheckpointCallView } from '../contract.ts';
import { Countdown } from '../components/relative-time.tsx';

const FAILURE_TEXT: Readonly<Record<NonNullable<CheckpointCallView['failure']>['kind'], string>> = {
  transient: 'The last checkpoint call failed.',
  rejected: 'The API refused the last checkpoint call.',
  too_long: 'The history is too long for a checkpoint.',
  unusable: 'The last checkpoint’s answer could not be used.',
  skipped: 'A checkpoint was wanted and left out.',
};

export function CallNotice({ call }: { readonly call: CheckpointCallView }): JSX.Element | null {
  const { failure, retryAt, state, tries, maxTries } = call;
  if (failure === null) return null;
  return (
    <div class={state === 'given_up' ? 'notice bad' : 'notice warn'}>
      <strong>{FAILURE_TEXT[failure.kind]}</strong>
      <p>{failure.message}</p>
      <p>
        {retryAt !== null ? (
          <>
            Tried again <Countdown at={retryAt} />
          </>
        ) : state === 'given_up' ? (
          'Not tried again until this history is left'
        ) : state === 'running' ? (
          'Being tried again now'
        ) : (
          'Tried again after the next answer'
        )}{' '}
        · {tries} of {maxTries} tries. Until then a compaction goes to the API, as without the proxy.
      </p>
    </div>
  );
}
