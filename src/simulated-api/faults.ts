/** The queue of faults, and the requests that they are for. */
import { type BreakingFault, type Fault, type ModifyingFault } from './behaviour.ts';
import { type RecordedRequest } from './recorder.ts';

/** The requests that a fault is for. All given fields must match. */
export interface RequestFilter {
  readonly kind?: string;
  readonly path?: string;
  readonly model?: string;
  readonly summary?: boolean;
  readonly header?: Readonly<Record<string, string>>;
}

/** For how many requests, and which. By default the next request for a message. */
export interface FaultOptions {
  readonly times?: number;
  readonly when?: RequestFilter | ((request: RecordedRequest) => boolean);
}

/** A queued fault. */
export interface FaultHandle {
  readonly id: number;
  readonly fault: Fault;
  /** Number of further requests that it is for. */
  readonly remaining: number;
  cancel(): void;
}

/** The faults of one answer. */
export interface FaultPlan {
  readonly breaking: BreakingFault | undefined;
  readonly modifying: readonly ModifyingFault[];
}

interface Ordered {
  readonly id: number;
  readonly fault: Fault;
  readonly matches: (request: RecordedRequest) => boolean;
  remaining: number;
}

/** Whether a fault changes the delivery only. */
export function isModifying(fault: Fault): fault is ModifyingFault {
  return fault.kind === 'slow' || fault.kind === 'noise' || fault.kind === 'chunking' || fault.kind === 'compression';
}

/** The modifying fault of one kind, if the plan has it. */
export function modifier<Kind extends ModifyingFault['kind']>(
  plan: FaultPlan,
  kind: Kind,
): Extract<ModifyingFault, { kind: Kind }> | undefined {
  return plan.modifying.find((fault): fault is Extract<ModifyingFault, { kind: Kind }> => fault.kind === kind);
}

/** The queued faults, oldest first. */
export class FaultQueue {
  #ordered: Ordered[] = [];
  #lastId = 0;

  /** Queues `fault` for the next matching requests. */
  add(fault: Fault, options: FaultOptions = {}): FaultHandle {
    const id = (this.#lastId += 1);
    const ordered: Ordered = { id, fault, matches: matcher(options.when), remaining: options.times ?? 1 };
    this.#ordered.push(ordered);
    return {
      id,
      fault,
      get remaining() {
        return ordered.remaining;
      },
      cancel: () => {
        ordered.remaining = 0;
        this.#ordered = this.#ordered.filter((other) => other !== ordered);
      },
    };
  }

  /** The faults that are still queued. */
  list(): readonly { readonly id: number; readonly fault: Fault; readonly remaining: number }[] {
    return this.#ordered.map(({ id, fault, remaining }) => ({ id, fault, remaining }));
  }

  clear(): void {
    this.#ordered = [];
  }

  /** Whether the next fault for `request`, known by its head alone, is to cut off its upload. Uses it up if so. */
  takeUpload(request: RecordedRequest): boolean {
    const next = this.#ordered.find(({ fault, matches }) => isUpload(fault) && matches(request));
    if (next !== undefined) this.#use(next);
    return next !== undefined;
  }

  /** Takes the faults for `request`: the oldest breaking one, and all modifying ones. */
  take(request: RecordedRequest): FaultPlan {
    let breaking: BreakingFault | undefined;
    const modifying: ModifyingFault[] = [];
    for (const ordered of [...this.#ordered]) {
      const { fault } = ordered;
      if (isUpload(fault) || !ordered.matches(request)) continue;
      if (isModifying(fault)) modifying.push(fault);
      else if (breaking === undefined) breaking = fault;
      else continue;
      this.#use(ordered);
    }
    return { breaking, modifying };
  }

  #use(ordered: Ordered): void {
    ordered.remaining -= 1;
    if (ordered.remaining <= 0) this.#ordered = this.#ordered.filter((other) => other !== ordered);
  }
}

function isUpload(fault: Fault): boolean {
  return fault.kind === 'disconnect' && fault.at === 'upload';
}

function matcher(when: FaultOptions['when']): (request: RecordedRequest) => boolean {
  if (typeof when === 'function') return when;
  const { kind = 'messages', path, model, summary, header = {} } = when ?? {};
  return (request) =>
    (path === undefined ? request.kind === kind : request.path.startsWith(path)) &&
    (model === undefined || request.message?.model === model) &&
    (summary === undefined || request.isSummary === summary) &&
    Object.entries(header).every(([name, value]) => request.headers[name.toLowerCase()] === value);
}
