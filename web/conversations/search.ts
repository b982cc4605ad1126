/** What a search for conversations finds. Pure. */
import type { ConversationView, Phase } from '../contract.ts';
import { PHASE_NAME } from '../labels.ts';

/** The words of a search, each of which must be there. */
export const wordsOf = (text: string): string[] => text.toLowerCase().split(/\s+/).filter(Boolean);

/** Everything about a conversation that a search may hit, in lower case. */
function searchText(view: ConversationView): string {
  const { name } = view;
  const kind = view.kind === 'subagent' ? 'subagent' : 'agent main';
  const parts = [name.text, name.folder, name.words, view.model, view.id, kind, view.phase, PHASE_NAME[view.phase]];
  if (view.call.failure !== null) parts.push('failing failed');
  return parts
    .filter((part) => part !== null)
    .join(' ')
    .toLowerCase();
}

/** Whether a conversation is what was searched for: every word must be there. */
export function matches(view: ConversationView, words: readonly string[], wanted: ReadonlySet<Phase>): boolean {
  if (wanted.size > 0 && !wanted.has(view.phase)) return false;
  if (words.length === 0) return true;
  const text = searchText(view);
  return words.every((word) => text.includes(word));
}
