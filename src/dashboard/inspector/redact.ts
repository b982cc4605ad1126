/**
 * What the inspector shows of events and contexts: the plain values at the paths listed here. The machines contain
 * neither messages nor credentials; the list keeps content that is added to them later out of the inspector as well.
 */
import type { BreakerContext, BreakerEvent } from '../../../machines/breaker.ts';
import type {
  CallFailureKind,
  CheckpointRef,
  ConversationContext,
  ConversationEvent,
} from '../../../machines/conversation-events.ts';
import type { ServiceContext, ServiceEvent } from '../../../machines/service.ts';
import type { SupervisorContext, SupervisorEvent } from '../../../machines/supervisor.ts';
import type { LogValue } from '../../../web/contract.ts';

type Fields = Readonly<Record<string, LogValue>>;

/** The dotted paths to the plain values of `T`, so that a path of a field that does not exist is a compile error. */
type PathOf<T> = T extends LogValue
  ? never
  : T extends object
    ? { [K in keyof T & string]: T[K] extends LogValue ? K : `${K}.${PathOf<T[K]>}` }[keyof T & string]
    : never;

/** Fields of XState's own events, about invoked actors and timers. */
interface XStateEvent {
  readonly actorId: string;
  readonly delay: number;
  readonly output: CheckpointRef | { readonly port: number | null };
  readonly error: { readonly failure: CallFailureKind; readonly code: string };
}

type Event = ConversationEvent | SupervisorEvent | ServiceEvent | BreakerEvent | XStateEvent;
type Context = ConversationContext | SupervisorContext | Omit<ServiceContext, 'parent'> | BreakerContext;

interface Path {
  readonly name: string;
  readonly parts: readonly string[];
}
const paths = (names: readonly string[]): readonly Path[] => names.map((name) => ({ name, parts: name.split('.') }));

const PAYLOAD = paths([
  ...(['at', 'messages', 'turn', 'used', 'effectiveWindow', 'model', 'reason'] as const),
  ...(['confirmed', 'continuesCallHistory', 'coveringCheckpoint.id', 'coveringCheckpoint.anchorMessages'] as const),
  ...(['checkpoint.id', 'checkpoint.anchorMessages', 'failure.kind', 'failure.retryAfter'] as const),
  ...(['id', 'name', 'port', 'hasBeenUp', 'input.id', 'actorId', 'delay'] as const),
  // The message of an error is left out: the context shows it, shortened.
  ...(['output.id', 'output.anchorMessages', 'output.port', 'error.failure', 'error.code'] as const),
] satisfies readonly PathOf<Event>[]);

const CONTEXT = paths([
  ...(['used', 'effectiveWindow', 'messages', 'model', 'turn', 'tries', 'maxTries', 'checkpoints'] as const),
  ...(['checkpoint.id', 'checkpoint.anchorMessages', 'failure.kind', 'failure.message', 'failure.retryAfter'] as const),
  ...(['counters.checkpoints', 'counters.failures', 'counters.served', 'counters.confirmed'] as const),
  ...(['counters.forwarded', 'retryPause', 'name', 'port', 'failures', 'hasBeenUp', 'reason'] as const),
  ...(['crashes', 'coolDown', 'resumesAt'] as const),
] satisfies readonly PathOf<Context>[]);

/** Characters that are kept of a string. */
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

/** The fields of an event that are shown beside its type. */
export const payloadOf = (event: unknown): Fields => pick(event, PAYLOAD);

/** The fields of a snapshot's context that are shown. */
export const contextOf = (snapshot: unknown): Fields => pick(at(snapshot, { parts: ['context'] }), CONTEXT);
