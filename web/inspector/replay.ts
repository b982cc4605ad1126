/**
 * Computes the actors at any record from those before the first record. Pure; used for the live system and for
 * recordings.
 */
import type { ActorView, InspectionRecord } from '../contract.ts';

export type Actors = ReadonlyMap<string, ActorView>;

/** The actors after `records`. */
export function replay(base: Actors, records: readonly InspectionRecord[]): Actors {
  const actors = new Map(base);
  for (const record of records) apply(actors, record);
  return actors;
}

function apply(actors: Map<string, ActorView>, record: InspectionRecord): void {
  switch (record.kind) {
    case 'started':
      actors.set(record.actor.session, record.actor);
      return;
    case 'ended': {
      const actor = actors.get(record.session);
      if (actor !== undefined) actors.set(record.session, { ...actor, status: record.status });
      return;
    }
    case 'event':
      setStates(actors, record.receiver, record.after);
      return;
    case 'left_out':
      for (const { session, after } of record.moved) setStates(actors, session, after);
  }
}

function setStates(actors: Map<string, ActorView>, session: string, states: readonly string[]): void {
  const actor = actors.get(session);
  if (actor?.machine != null) actors.set(session, { ...actor, states });
}

/** The actors before `records`, from those after them. Ended actors that are missing in `now` stay missing. */
export function rewind(now: readonly ActorView[], records: readonly InspectionRecord[]): Actors {
  const actors = new Map(now.map((actor) => [actor.session, actor]));
  for (const record of records.toReversed()) {
    switch (record.kind) {
      case 'started':
        actors.delete(record.actor.session);
        break;
      case 'ended': {
        const actor = actors.get(record.session);
        if (actor !== undefined) actors.set(record.session, { ...actor, status: 'active' });
        break;
      }
      case 'event':
        setStates(actors, record.receiver, record.before);
        break;
      case 'left_out':
        for (const { session, before } of record.moved) setStates(actors, session, before);
    }
  }
  return actors;
}

/** The last record before index `end` in which `session` took a transition. */
export function lastEvent(
  records: readonly InspectionRecord[],
  end: number,
  session: string,
): Extract<InspectionRecord, { kind: 'event' }> | null {
  for (let index = end - 1; index >= 0; index -= 1) {
    const record = records[index];
    if (record?.kind === 'event' && record.receiver === session && record.edges.length > 0) return record;
  }
  return null;
}

/** The actor that a record is about; null for a record about several. */
export const sessionOf = (record: InspectionRecord): string | null => {
  switch (record.kind) {
    case 'started':
      return record.actor.session;
    case 'ended':
      return record.session;
    case 'event':
      return record.receiver;
    case 'left_out':
      return null;
  }
};
