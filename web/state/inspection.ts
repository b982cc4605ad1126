/**
 * What the inspector looks at: the running system, or a recording from a file. Both are the same to it — statecharts,
 * the actors before the first record, and records — and both can be looked at as they were after any record.
 */
import { batch, computed, signal } from '@preact/signals';
import type { ActorView, InspectionRecord, InspectorView, MachineGraph, Recording } from '../contract.ts';
import { lastEvent, replay, rewind, type Actors } from '../inspector/replay.ts';
import { throttleMerging } from './throttle.ts';
import { route } from './current-route.ts';
import type { RecordingParts } from '../inspector/recording.ts';

/** Records kept of what runs; older ones are dissolved into the actors they led to. */
const MAX_RECORDS = 5_000;
/** … and while one looks back, lest the ground is pulled away. */
const MAX_RECORDS_WHILE_PAUSED = 20_000;

interface Source {
  readonly version: string;
  readonly machines: Readonly<Record<string, MachineGraph>>;
  /** The actors before the first of `records`. */
  readonly base: Actors;
  readonly records: readonly InspectionRecord[];
}

const NOTHING: Source = { version: '', machines: {}, base: new Map(), records: [] };

const live = signal<Source>(NOTHING);
/** Whether the proxy has been seen from the inside at all. */
export const hasLiveData = signal(false);
/** A recording that was opened, in place of what runs. */
const file = signal<{ readonly name: string; readonly exported: number; readonly source: Source } | null>(null);

export const openedFile = computed(() => {
  const { value } = file;
  return value === null ? null : { name: value.name, exported: value.exported, version: value.source.version };
});

const source = computed(() => file.value?.source ?? live.value);

export const records = computed(() => source.value.records);
export const machines = computed(() => source.value.machines);

/** The `seq` of the record after which one looks; null: after the last one, whatever comes. */
const pausedAtSeq = signal<number | null>(null);

export const isFollowing = computed(() => pausedAtSeq.value === null);

/** How many records have happened where one looks. */
export const position = computed(() => {
  const { value } = pausedAtSeq;
  if (value === null) return records.value.length;
  const after = records.value.findIndex(({ seq }) => seq > value);
  return after === -1 ? records.value.length : after;
});

/** The actors as they were there. */
export const actors = computed<Actors>(() => replay(source.value.base, records.value.slice(0, position.value)));

/** The record that one stands on: the last that has happened. */
export const currentRecord = computed<InspectionRecord | null>(() => records.value[position.value - 1] ?? null);

/** What `session` did last, where one looks. */
export const lastEventOf = (session: string) => lastEvent(records.value, position.value, session);

/** Stands after the `count`-th record, or follows again when that is beyond the last. */
export function seek(count: number): void {
  const at = Math.max(0, count);
  if (at > records.peek().length) {
    follow();
    return;
  }
  const first = records.peek()[0];
  pausedAtSeq.value = records.peek()[at - 1]?.seq ?? (first === undefined ? null : first.seq - 1);
}

export function pause(): void {
  seek(position.peek());
}

export function follow(): void {
  pausedAtSeq.value = null;
}

export function applyInspectorView(view: InspectorView, version: string): void {
  batch(() => {
    // A fresh view of the same system must not move what one is looking at.
    live.value = { version, machines: view.machines, base: rewind(view.actors, view.records), records: view.records };
    hasLiveData.value = true;
  });
}

export const applyInspectorRecords = throttleMerging<readonly InspectionRecord[]>(
  (before, more) => [...before, ...more],
  appendRecords,
);

function appendRecords(more: readonly InspectionRecord[]): void {
  const { version, machines: charts, base, records: known } = live.peek();
  // A view that was fetched meanwhile holds some of them already.
  const last = known.at(-1)?.seq ?? -1;
  const all = [...known, ...more.filter(({ seq }) => seq > last)];
  const lookingBack = pausedAtSeq.peek() !== null && file.peek() === null;
  const surplus = all.length - (lookingBack ? MAX_RECORDS_WHILE_PAUSED : MAX_RECORDS);
  live.value = {
    version,
    machines: charts,
    base: surplus > 0 ? activeActors(replay(base, all.slice(0, surplus))) : base,
    records: surplus > 0 ? all.slice(surplus) : all,
  };
}

/** Without those that have ended: no record to come is about them. */
const activeActors = (all: Actors): Actors => new Map([...all].filter(([, actor]) => actor.status === 'active'));

export function openFile(name: string, recording: Recording): void {
  batch(() => {
    const base = new Map(recording.actors.map((actor) => [actor.session, actor]));
    const { machines: charts, records: known, proxy } = recording;
    file.value = {
      name,
      exported: recording.exported,
      source: { version: proxy.version, machines: charts, base, records: known },
    };
    pausedAtSeq.value = null;
  });
}

export function closeFile(): void {
  batch(() => {
    file.value = null;
    pausedAtSeq.value = null;
  });
}

/** What is looked at now, for a file. */
export function recordingParts(): RecordingParts {
  const { version, machines: charts, base, records: known } = source.peek();
  return { version, machines: charts, actors: [...base.values()], records: known };
}

/** An actor by its session, or by its name; of several of a name the newest. */
function findActor(wanted: string): ActorView | null {
  const known = actors.value.get(wanted);
  if (known !== undefined) return known;
  return [...actors.value.values()].findLast(({ id }) => id === wanted) ?? null;
}

/** The actor that is looked at: the one that the address names; else the supervisor; else any with a statechart. */
export const selected = computed<ActorView | null>(() => {
  const { value: here } = route;
  const wanted = here.page === 'inspector' ? here.actor : null;
  const known = wanted === null ? null : findActor(wanted);
  if (known !== null) return known;
  const all = [...actors.value.values()].filter(({ machine, status }) => machine !== null && status === 'active');
  return all.find(({ parent }) => parent === null) ?? all[0] ?? null;
});
