/**
 * What leaves of events and contexts: the fields named here, where they hold a plain value, and nothing else. Machines
 * hold neither messages nor credentials as it is; this keeps it so for whatever is added to them.
 */
import type { LogValue } from '../../../web/contract.ts';

type Fields = Readonly<Record<string, LogValue>>;

/** A field, by the names that lead to it. */
interface Path {
  readonly name: string;
  readonly parts: readonly string[];
}
const paths = (...names: readonly string[]): readonly Path[] => names.map((name) => ({ name, parts: name.split('.') }));

/** Paths into events. */
const PAYLOAD = paths(
  ...['at', 'messages', 'turn', 'used', 'effectiveWindow', 'model', 'reason', 'confirmed', 'continuesCallHistory'],
  ...['coveringCheckpoint.id', 'coveringCheckpoint.anchorMessages', 'checkpoint.id', 'checkpoint.anchorMessages'],
  ...['id', 'name', 'port', 'everBound', 'input.id', 'actorId', 'delay'],
  // Ends of invoked actors: a checkpoint or a port; of an error its kind. Its words are in the context, shortened.
  ...['output.id', 'output.anchorMessages', 'output.port', 'error.failure', 'error.code'],
);

/** Paths into contexts. */
const CONTEXT = paths(
  ...['used', 'effectiveWindow', 'messages', 'model', 'turn', 'tries', 'maxTries', 'checkpoints'],
  ...['checkpoint.id', 'checkpoint.anchorMessages', 'failure.kind', 'failure.message', 'failure.retryAfter'],
  ...['counters.checkpoints', 'counters.failures', 'counters.served', 'counters.confirmed', 'counters.forwarded'],
  ...['name', 'port', 'failures', 'everBound', 'reason', 'crashes', 'coolDown', 'resumesAt'],
);

const TEXT_LENGTH = 300;

function at(value: unknown, { parts }: Pick<Path, 'parts'>): unknown {
  let found = value;
  for (const part of parts) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return undefined;
    found = (found as Readonly<Record<string, unknown>>)[part];
  }
  return found;
}

function pick(value: unknown, allowed: readonly Path[]): Fields {
  const picked: Record<string, LogValue> = {};
  for (const path of allowed) {
    const found = at(value, path);
    if (typeof found === 'string') picked[path.name] = found.slice(0, TEXT_LENGTH);
    else if (typeof found === 'number' || typeof found === 'boolean' || found === null) picked[path.name] = found;
  }
  return picked;
}

/** What may be seen of an event beside its type. */
export const payloadOf = (event: unknown): Fields => pick(event, PAYLOAD);

/** What may be seen of a snapshot's context. */
export const contextOf = (snapshot: unknown): Fields => pick(at(snapshot, { parts: ['context'] }), CONTEXT);
