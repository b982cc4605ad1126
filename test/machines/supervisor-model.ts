/**
 * What a supervisor is expected to do, said a second time and differently: a plain function over a small state.
 * The tests walk this model's graph and do each step to a real supervisor, which must agree after every step.
 */
import { fromTransition } from 'xstate';
import type { ListenerName } from '../../machines/listener.ts';

interface ListenerModel {
  readonly at: 'absent' | 'binding' | 'listening' | 'down' | 'closing' | 'closed';
  /** Whether this machine (not one that it replaced) has ever listened. */
  readonly bound: boolean;
}

export interface SupervisorModel {
  readonly phase: 'starting' | 'running' | 'stopping' | 'stopped';
  readonly forwarder: ListenerModel;
  readonly redirector: ListenerModel;
  /** Whether a conversation is open. */
  readonly conversation: boolean;
}

export type SupervisorStep =
  | {
      readonly type: 'bound' | 'refused' | 'failed' | 'broken' | 'closed' | 'brokenClosing';
      readonly name: ListenerName;
    }
  /** Longer than any pause, shorter than a conversation lives; or longer than that too. */
  | { readonly type: 'minutes' | 'hours' }
  | { readonly type: 'shutdown' | 'opened' | 'crashed' | 'left' };

const other = (name: ListenerName): ListenerName => (name === 'forwarder' ? 'redirector' : 'forwarder');

function withListener(model: SupervisorModel, name: ListenerName, changes: Partial<ListenerModel>): SupervisorModel {
  return { ...model, [name]: { ...model[name], ...changes } };
}

function stop(model: SupervisorModel): SupervisorModel {
  const told = ({ at, bound }: ListenerModel): ListenerModel => ({ at: at === 'absent' ? 'closed' : 'closing', bound });
  return { ...model, phase: 'stopping', forwarder: told(model.forwarder), redirector: told(model.redirector) };
}

function bindAgain(model: SupervisorModel): SupervisorModel {
  const again = (listener: ListenerModel): ListenerModel =>
    listener.at === 'down' ? { ...listener, at: 'binding' } : listener;
  return { ...model, forwarder: again(model.forwarder), redirector: again(model.redirector) };
}

function afterBound(model: SupervisorModel, name: ListenerName): SupervisorModel {
  const next = withListener(model, name, { at: 'listening', bound: true });
  if (next.phase !== 'starting') return next;
  if (name === 'redirector') return { ...next, phase: 'running' };
  return next.redirector.at === 'absent' ? withListener(next, 'redirector', { at: 'binding' }) : next;
}

function afterClosed(model: SupervisorModel, name: ListenerName): SupervisorModel {
  const next = withListener(model, name, { at: 'closed' });
  return next[other(name)].at === 'closed' ? { ...next, phase: 'stopped', conversation: false } : next;
}

function step(model: SupervisorModel, event: SupervisorStep): SupervisorModel {
  switch (event.type) {
    case 'bound':
      return afterBound(model, event.name);
    case 'refused': {
      const next = withListener(model, event.name, { at: 'down' });
      return next.phase === 'starting' && !next[event.name].bound ? stop(next) : next;
    }
    case 'failed':
      return withListener(model, event.name, { at: 'down' });
    case 'broken':
      return withListener(model, event.name, { at: 'binding', bound: false });
    case 'closed':
    case 'brokenClosing':
      return afterClosed(model, event.name);
    case 'minutes':
      return bindAgain(model);
    case 'hours':
      return { ...bindAgain(model), conversation: false };
    case 'shutdown':
      return model.phase === 'stopping' ? model : stop(model);
    case 'opened':
      return { ...model, conversation: true };
    case 'crashed':
    case 'left':
      return { ...model, conversation: false };
  }
}

const UNBORN: ListenerModel = { at: 'absent', bound: false };

export const supervisorModel = fromTransition<SupervisorModel, SupervisorStep, never, undefined>(step, {
  phase: 'starting',
  forwarder: { at: 'binding', bound: false },
  redirector: UNBORN,
  conversation: false,
});

/** What can happen in a state of the model. */
export function stepsFrom(model: SupervisorModel): SupervisorStep[] {
  if (model.phase === 'stopped') return [];
  const ofListener = (name: ListenerName): SupervisorStep[] => {
    switch (model[name].at) {
      case 'binding':
        return [
          { type: 'bound', name },
          { type: 'refused', name },
        ];
      case 'listening':
        return [
          { type: 'failed', name },
          { type: 'broken', name },
        ];
      case 'closing':
        return [
          { type: 'closed', name },
          { type: 'brokenClosing', name },
        ];
      default:
        return [];
    }
  };
  return [
    ...ofListener('forwarder'),
    ...ofListener('redirector'),
    { type: 'minutes' },
    { type: 'hours' },
    { type: 'shutdown' },
    // Also while it is open: a second time must change nothing.
    { type: 'opened' },
    ...(model.conversation ? ([{ type: 'crashed' }, { type: 'left' }] as const) : []),
  ];
}
