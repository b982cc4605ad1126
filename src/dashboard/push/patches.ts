/** The differences between two states of a conversation, as they are sent to the pages. Pure. */
import type { ConversationChange, ConversationDetail, ConversationView, DetailPatch } from '../../../web/contract.ts';

/** Deep equality of plain JSON values. */
function isEqual(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false;
  const names = Object.keys(one);
  if (names.length !== Object.keys(other).length) return false;
  const [left, right] = [one, other] as [Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>];
  return names.every((name) => isEqual(left[name], right[name]));
}

/** The fields of `now` that differ from `before`; all of them for a new conversation; null without a difference. */
export function conversationChange(
  now: ConversationView,
  before: ConversationView | undefined,
): ConversationChange | null {
  if (before === undefined) return now;
  const changed = (Object.keys(now) as (keyof ConversationView)[]).filter((name) => !isEqual(now[name], before[name]));
  return changed.length === 0 ? null : { ...Object.fromEntries(changed.map((name) => [name, now[name]])), id: now.id };
}

/** The fields of a detail that are other objects than before, as `ConversationViews` keeps them; null without one. */
export function detailPatch(now: ConversationDetail, before: ConversationDetail): DetailPatch | null {
  const changed = Object.entries(now).filter(([name, value]) => value !== before[name as keyof ConversationDetail]);
  return changed.length === 0 ? null : { ...Object.fromEntries(changed), id: now.id };
}
