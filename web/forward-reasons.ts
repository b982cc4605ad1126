/**
 * The wording of the reasons why a compaction went to the API, for the dashboard and the CLI. It is in web/ because the
 * dashboard may import nothing from elsewhere, while cli/ may import from web/.
 */
import type { KnownForwardReason } from './contract.ts';

const TEXTS: Readonly<Record<KnownForwardReason, string>> = {
  passthrough: 'passthrough was on',
  no_checkpoint: 'no matching checkpoint',
  instructions: 'custom instructions',
  stale: 'checkpoint too old',
  wait_timeout: 'checkpoint took too long',
  checkpoint_failed: 'checkpoint call failed',
  loop: 'repeated compaction',
  unreadable: 'unreadable request',
};

/** The text of a reason; one that another version of the proxy added is shown by its name. */
export const forwardReasonText = (reason: string): string =>
  (TEXTS as Readonly<Record<string, string | undefined>>)[reason] ?? reason.replaceAll('_', ' ');
