/** The notice about a conversation's failed checkpoint call. */
import type { JSX } from 'preact';
import type { CheckpointCallView } from '../contract.ts';
import { RetryStatus } from '../components/retry-status.tsx';

const FAILURE_TEXT: Readonly<Record<NonNullable<CheckpointCallView['failure']>['kind'], string>> = {
  transient: 'The last checkpoint call failed.',
  rejected: 'The API rejected the last checkpoint call.',
  too_long: 'The history is too long for a checkpoint.',
  unusable: 'The answer to the last checkpoint call was unusable.',
  skipped: 'A checkpoint was due but skipped.',
};

export function CallNotice({ call }: { readonly call: CheckpointCallView }): JSX.Element | null {
  const { failure, state, tries, maxTries } = call;
  if (failure === null) return null;
  return (
    <div class={state === 'given_up' ? 'notice bad' : 'notice warn'}>
      <strong>{FAILURE_TEXT[failure.kind]}</strong>
      <p>{failure.message}</p>
      <p>
        <RetryStatus call={call} /> · {tries} of {maxTries} attempts made. Until then, compactions go to the API.
      </p>
    </div>
  );
}
