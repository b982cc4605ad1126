/**
 * The inspector's data: statecharts, the actors before the first record, and records, either of the live system or of a
 * recording. The position selects the record after which the actors are shown.
 */
import { batch, computed, signal } from '@preact/signals';
import type { ActorView, InspectionRecord, InspectorView, MachineGraph, Recording } from '../contract.ts';
import { lastEvent, replay, rewind, type Actors } from '../inspector/replay.ts';
import { throttleMerging } from './throttle.ts';
import { route } from './current-route.ts';
import type { RecordingParts } from '../inspector/recording.ts';

/** Records kept of the live system; older ones are applied to the base actors. */
const MAX_RECORDS = 5_000;
/** The same while the position is in the past, so that its record is not removed soon. */
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
export const hasLiveData = signal(false);
/** The opened recording, which is shown instead of the live system. */
const file = signal<{ readonly name: string; readonly exported: number; readonly source: Source } | null>(null);

export const openedFile = computed(() => {
  const { value } = file;
  return value === null ? null : { name: value.name, exported: value.exported, version: value.source.version };
});

const source = computed(() => file.value?.source ?? live.value);

export const records = computed(() => source.value.records);
export const machines = computed(() => source.value.machines);

/** The `seq` of the record at the position; null: follows the last record. */
const pausedAtSeq = signal<number | null>(null);

export const isFollowing = computed(() => pausedAtSeq.value === null);

/** The number of records up to the position. */
export const position = computed(() => {
  const { value } = pausedAtSeq;
  if (value === null) return records.value.length;
  const after = records.value.findIndex(({ seq }) => seq > value);
  return after === -1 ? records.value.length : after;
});

/** The actors at the position. */
export const actors = computed<Actors>(() => replay(source.value.base, records.value.slice(0, position.value)));

/** The last record before the position. */
export const currentRecord = computed<InspectionRecord | null>(() => records.value[position.value - 1] ?? null);

/** The last transition of `session` before the position. */
export const lastEventOf = (session: string) => lastEvent(records.value, position.value, session);

/** Moves the position after the `count`-th record, or follows again beyond the last one. */
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
    // Keeps `pausedAtSeq`, so that a reconnection does not move the position.
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
  // A newer view may contain some of them already.
  const last = known.at(-1)?.seq ?? -1;
  const all = [...known, ...more.filter(({ seq }) => seq > last)];
  const paused = pausedAtSeq.peek() !== null && file.peek() === null;
  const surplus = all.length - (paused ? MAX_RECORDS_WHILE_PAUSED : MAX_RECORDS);
  live.value = {
    version,
    machines: charts,
    base: surplus > 0 ? activeActors(replay(base, all.slice(0, surplus))) : base,
    records: surplus > 0 ? all.slice(surplus) : all,
  };
}

/** Removes ended actors, which no later record is about. */
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

/** The shown data, for an export. */
export function recordingParts(): RecordingParts {
  const { version, machines: charts, base, records: known } = source.peek();
  return { version, machines: charts, actors: [...base.values()], records: known };
}

/** An actor by its session or its id; of several with one id, the newest. */
const findActor = (name: string): ActorView | null =>
  actors.value.get(name) ?? [...actors.value.values()].findLast(({ id }) => id === name) ?? null;

/** The actor named in the URL; else the supervisor; else any with a statechart. */
export const selected = computed<ActorView | null>(() => {
  const { value: current } = route;
  const name = current.page === 'inspector' ? current.actor : null;
  const named = name === null ? null : findActor(name);
  if (named !== null) return named;
  const all = [...actors.value.values()].filter(({ machine, status }) => machine !== null && status === 'active');
  return all.find(({ parent }) => parent === null) ?? all[0] ?? null;
});
