/**
 * What the inspector keeps of what happened, and what of it a page is told. What may be seen of events and contexts is
 * picked when a record leaves, not when it happens: most never do. Pure.
 */
import type { InspectionRecord } from '../../../web/contract.ts';
import { contextOf, payloadOf } from './redact.ts';

export type EventRecord = Extract<InspectionRecord, { readonly kind: 'event' }>;
type LeftOut = Extract<InspectionRecord, { readonly kind: 'left_out' }>;
type Moved = LeftOut['moved'][number];

/** An event, beside what happened as it was: neither of the two leaves this process. */
export type KeptEvent = Omit<EventRecord, 'payload' | 'context'> & {
  readonly event: object;
  /** What the receiver came to; null for one that did not take it. */
  readonly snapshot: unknown;
};

export type BufferedRecord = KeptEvent | Exclude<InspectionRecord, EventRecord | LeftOut>;

/** Events of actors that nobody watches, told in one go at most: some hundred a second, more than anybody reads. */
export const ROOM = 40;

/** A record as it leaves. */
export function shown(kept: BufferedRecord): InspectionRecord {
  if (kept.kind !== 'event') return kept;
  const { event, snapshot, ...record } = kept;
  return { ...record, payload: payloadOf(event), context: contextOf(snapshot) };
}

/**
 * What of `kept` a page is told: all beginnings and ends, all events that one of `watched` took or sent, and of the
 * others as many as there is room for. What those that are left out came to is told in one record, so that the page
 * still knows where each actor stands.
 */
export function recordsFor(kept: readonly BufferedRecord[], watched: ReadonlySet<string>): InspectionRecord[] {
  const told: InspectionRecord[] = [];
  const moved = new Map<string, Moved>();
  let last: KeptEvent | null = null;
  let place = 0;
  let events = 0;
  let room = ROOM;
  for (const record of kept) {
    if (record.kind === 'event' && !watched.has(record.receiver) && !watched.has(record.sender ?? '')) {
      if (room <= 0) {
        last = record;
        place = told.length;
        events += 1;
        note(moved, record);
        continue;
      }
      room -= 1;
    }
    told.push(shown(record));
  }
  if (last === null) return told;
  const changed = [...moved.values()].filter(({ after, before }) => after.join() !== before.join());
  told.splice(place, 0, { kind: 'left_out', seq: last.seq, at: last.at, events, moved: changed });
  return told;
}

function note(moved: Map<string, Moved>, { after, before, receiver }: KeptEvent): void {
  moved.set(receiver, { session: receiver, before: moved.get(receiver)?.before ?? before, after });
}
