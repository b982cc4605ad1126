/** Writes and reads recordings. A file comes with a bug report and may hold anything, so its fields are checked. */
import type { ActorView, InspectionRecord, MachineGraph, Recording } from '../contract.ts';

const FORMAT = 'claude-db-proxy/recording';
const VERSION = 1;

/** Why a file cannot be shown, in words for the user. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

export interface RecordingParts {
  readonly version: string;
  readonly machines: Readonly<Record<string, MachineGraph>>;
  readonly actors: readonly ActorView[];
  readonly records: readonly InspectionRecord[];
}

export function makeRecording({ version, machines, actors, records }: RecordingParts, now: number): Recording {
  return { format: FORMAT, version: VERSION, proxy: { version }, exported: now, machines, actors, records };
}

/**
 * Reads a recording.
 *
 * @throws RecordingError when the file is not a valid recording
 */
export function parseRecording(text: string): Recording {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RecordingError('This file is not JSON. Recordings are made with “Export” in the inspector.');
  }
  if (!isObject(value) || value['format'] !== FORMAT) {
    throw new RecordingError('This JSON file is not a recording of claude-db-proxy.');
  }
  if (value['version'] !== VERSION) {
    throw new RecordingError(
      `This recording has version ${String(value['version'])}; this page reads version ${VERSION}. Open it with the dashboard of the proxy that made it.`,
    );
  }
  const { machines, actors, records } = value;
  if (!isObject(machines) || !Object.values(machines).every(isGraph)) throw damaged('its statecharts');
  if (!Array.isArray(actors) || !actors.every(isActor)) throw damaged('its actors');
  if (!Array.isArray(records) || !records.every(isRecord)) throw damaged('its records');
  const proxy = isObject(value['proxy']) ? value['proxy'] : {};
  return {
    format: FORMAT,
    version: VERSION,
    proxy: { version: typeof proxy['version'] === 'string' ? proxy['version'] : 'unknown' },
    exported: typeof value['exported'] === 'number' ? value['exported'] : 0,
    machines: machines as Recording['machines'],
    actors,
    records,
  };
}

const damaged = (what: string): RecordingError =>
  new RecordingError(`This recording is damaged: ${what} cannot be read.`);

type Unknown = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value: unknown): value is string => typeof value === 'string';
const isTextOrNull = (value: unknown): boolean => value === null || isText(value);
const areTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);
const hasPosition = (value: Unknown): boolean => typeof value['seq'] === 'number' && typeof value['at'] === 'number';
const isFields = (value: unknown): boolean =>
  isObject(value) &&
  Object.values(value).every((field) => typeof field !== 'object' || field === null || areTexts(field));

function isActor(value: unknown): value is ActorView {
  if (!isObject(value)) return false;
  const { session, id, parent, machine, kind, status, states } = value;
  return (
    isText(session) &&
    isText(id) &&
    isTextOrNull(parent) &&
    isTextOrNull(machine) &&
    isText(kind) &&
    isText(status) &&
    areTexts(states)
  );
}

function isRecord(value: unknown): value is InspectionRecord {
  if (!isObject(value) || !hasPosition(value)) return false;
  switch (value['kind']) {
    case 'started':
      return isActor(value['actor']);
    case 'ended':
      return isText(value['session']) && isText(value['status']);
    case 'event':
      return (
        isText(value['receiver']) &&
        isTextOrNull(value['sender']) &&
        isText(value['type']) &&
        isFields(value['payload']) &&
        isFields(value['context']) &&
        areTexts(value['before']) &&
        areTexts(value['after']) &&
        areTexts(value['edges'])
      );
    case 'left_out':
      return typeof value['events'] === 'number' && Array.isArray(value['moved']) && value['moved'].every(isMove);
    default:
      return false;
  }
}

const isMove = (value: unknown): boolean =>
  isObject(value) && isText(value['session']) && areTexts(value['before']) && areTexts(value['after']);

function isGraph(value: unknown): value is MachineGraph {
  if (!isObject(value) || !isText(value['id'])) return false;
  const { nodes, edges } = value;
  if (!Array.isArray(nodes) || !nodes.every(isNode) || !Array.isArray(edges)) return false;
  const known = new Set(nodes.map(({ id }) => id));
  // The layout needs parents before their children, and edges between known nodes.
  const parentsFirst = nodes.every(
    ({ parent }, at) => parent === null || nodes.slice(0, at).some(({ id }) => id === parent),
  );
  return parentsFirst && edges.every((edge) => isEdge(edge, known));
}

function isNode(value: unknown): value is MachineGraph['nodes'][number] {
  if (!isObject(value)) return false;
  const { id, key, parent, type, initial, description, entry, exit, invokes, delays } = value;
  return (
    isText(id) &&
    isText(key) &&
    isText(type) &&
    isTextOrNull(parent) &&
    isTextOrNull(initial) &&
    isTextOrNull(description) &&
    areTexts(entry) &&
    areTexts(exit) &&
    areTexts(delays) &&
    Array.isArray(invokes) &&
    invokes.every((invoke) => isObject(invoke) && isText(invoke['id']) && isText(invoke['src']))
  );
}

function isEdge(value: unknown, known: ReadonlySet<string>): boolean {
  if (!isObject(value)) return false;
  const { id, source, target, label, kind, guard, actions, moves } = value;
  return (
    isText(source) &&
    isText(target) &&
    known.has(source) &&
    known.has(target) &&
    isText(id) &&
    isText(label) &&
    isText(kind) &&
    isTextOrNull(guard) &&
    areTexts(actions) &&
    typeof moves === 'boolean'
  );
}
