/**
 * The wording of the reasons why a compaction went to the API, for the pages and the terminal alike. It stands in web/
 * because the pages may import nothing else, while cli/ may import from here.
 */
import type { KnownForwardReason } from './contract.ts';

const TEXTS: Readonly<Record<KnownForwardReason, string>> = {
  passthrough: 'passthrough was on',
  no_checkpoint: 'no checkpoint covered it',
  instructions: 'it had instructions of its own',
  stale: 'too much was said since the checkpoint',
  wait_timeout: 'the checkpoint took too long',
  checkpoint_failed: 'the checkpoint had failed',
  loop: 'it had just been compacted',
  unreadable: 'it could not be read',
};

/** A reason that only another version of the proxy knows is shown as it is. */
export const forwardReasonText = (reason: string): string =>
  (TEXTS as Readonly<Record<string, string | undefined>>)[reason] ?? reason.replaceAll('_', ' ');
