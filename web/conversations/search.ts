/** The search for conversations. Pure. */
import type { ConversationView, Phase } from '../contract.ts';
import { PHASE_NAME } from '../labels.ts';
import { hasEveryWord } from '../text-search.ts';

/** The searched fields of a conversation. */
function searchText(view: ConversationView): string {
  const { name } = view;
  const kind = view.kind === 'subagent' ? 'subagent' : 'agent main';
  const parts = [name.text, name.folder, name.words, view.model, view.id, kind, view.phase, PHASE_NAME[view.phase]];
  if (view.call.failure !== null) parts.push('failing failed');
  return parts.filter((part) => part !== null).join(' ');
}

/** Whether a conversation has every word, and one of the phases; no phases mean all. */
export function matches(view: ConversationView, words: readonly string[], phases: ReadonlySet<Phase>): boolean {
  if (phases.size > 0 && !phases.has(view.phase)) return false;
  return words.length === 0 || hasEveryWord(searchText(view), words);
}
