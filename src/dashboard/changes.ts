/** What changed of a conversation since the pages were last told. Pure. */
import type { ConversationChange, ConversationDetail, ConversationView, DetailPatch } from '../../web/contract.ts';

/** Equal values of the contract: plain JSON. */
function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  const [left, right] = [one, other] as [Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>];
  return names.every((name) => same(left[name], right[name]));
}

/** The fields of `now` that are not as they were; all of them for a conversation that is new; null for no change. */
export function changesOf(now: ConversationView, before: ConversationView | undefined): ConversationChange | null {
  if (before === undefined) return now;
  const changed: Record<string, unknown> = { id: now.id };
  let any = false;
  for (const name in now) {
    const field = name as keyof ConversationView;
    if (now[field] === before[field] || same(now[field], before[field])) continue;
    changed[name] = now[field];
    any = true;
  }
  return any ? (changed as unknown as ConversationChange) : null;
}

/** The fields of a detail that are not the same objects any more, as `ConversationViews` keeps them; null for no change. */
export function detailChanges(now: ConversationDetail, before: ConversationDetail): DetailPatch | null {
  const changed = Object.entries(now).filter(([name, value]) => value !== before[name as keyof ConversationDetail]);
  return changed.length === 0 ? null : { ...Object.fromEntries(changed), id: now.id };
}
