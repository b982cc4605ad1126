/** What changed of a conversation since the pages were last told. Pure. */
import type { ConversationChange, ConversationDetail, ConversationView, DetailPatch } from '../../web/contract.ts';

/** Equal values of the contract: plain JSON. */
function same(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  const fields = Object.entries(one);
  if (fields.length !== Object.keys(other).length) return false;
  return fields.every(([name, value]) => same(value, (other as Readonly<Record<string, unknown>>)[name]));
}

/** The fields of `now` that are not as they were; all of them for a conversation that is new; null for no change. */
export function changesOf(now: ConversationView, before: ConversationView | undefined): ConversationChange | null {
  if (before === undefined) return now;
  const changed: Record<string, unknown> = { id: now.id };
  let any = false;
  for (const name of Object.keys(now) as (keyof ConversationView)[]) {
    if (same(now[name], before[name])) continue;
    changed[name] = now[name];
    any = true;
  }
  return any ? (changed as unknown as ConversationChange) : null;
}

/** The fields of a detail that are not the same objects any more, as the book keeps them; null for no change. */
export function detailChanges(now: ConversationDetail, before: ConversationDetail): DetailPatch | null {
  const changed = Object.entries(now).filter(([name, value]) => value !== before[name as keyof ConversationDetail]);
  return changed.length === 0 ? null : { ...Object.fromEntries(changed), id: now.id };
}
