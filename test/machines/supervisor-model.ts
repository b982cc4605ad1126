/**
 * What a supervisor is expected to do, said a second time and differently: a plain function over a small state.
 * The tests walk this model's graph and do each step to a real supervisor, which must agree after every step. Store
 * and dashboard are always well here; what becomes of them when they fail has tests of its own.
 */
import { fromTransition } from 'xstate';
import type { ServiceName } from '../../machines/service.ts';

/** The services that listen. */
export type ListenerName = Exclude<ServiceName, 'store' | 'dashboard'>;

interface ServiceModel {
  readonly at: 'absent' | 'starting' | 'up' | 'down' | 'closing' | 'closed';
  /** Whether this machine (not one that it replaced) has ever listened. */
  readonly bound: boolean;
}

export interface SupervisorModel {
  readonly phase: 'starting' | 'running' | 'stopping' | 'saving' | 'stopped';
  readonly forwarder: ServiceModel;
  readonly redirector: ServiceModel;
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
  | { readonly type: 'shutdown' | 'saved' | 'opened' | 'crashed' | 'left' };

const other = (name: ListenerName): ListenerName => (name === 'forwarder' ? 'redirector' : 'forwarder');

function withService(model: SupervisorModel, name: ListenerName, changes: Partial<ServiceModel>): SupervisorModel {
  return { ...model, [name]: { ...model[name], ...changes } };
}

function stop(model: SupervisorModel): SupervisorModel {
  const told = ({ at, bound }: ServiceModel): ServiceModel => ({ at: at === 'absent' ? 'closed' : 'closing', bound });
  return { ...model, phase: 'stopping', forwarder: told(model.forwarder), redirector: told(model.redirector) };
}

function bindAgain(model: SupervisorModel): SupervisorModel {
  const again = (listener: ServiceModel): ServiceModel =>
    listener.at === 'down' ? { ...listener, at: 'starting' } : listener;
  return { ...model, forwarder: again(model.forwarder), redirector: again(model.redirector) };
}

function afterBound(model: SupervisorModel, name: ListenerName): SupervisorModel {
  const next = withService(model, name, { at: 'up', bound: true });
  if (next.phase !== 'starting') return next;
  if (name === 'redirector') return { ...next, phase: 'running' };
  return next.redirector.at === 'absent' ? withService(next, 'redirector', { at: 'starting' }) : next;
}

function afterClosed(model: SupervisorModel, name: ListenerName): SupervisorModel {
  const next = withService(model, name, { at: 'closed' });
  return next[other(name)].at === 'closed' ? { ...next, phase: 'saving' } : next;
}

function step(model: SupervisorModel, event: SupervisorStep): SupervisorModel {
  switch (event.type) {
    case 'bound':
      return afterBound(model, event.name);
    case 'refused': {
      const next = withService(model, event.name, { at: 'down' });
      return next.phase === 'starting' && !next[event.name].bound ? stop(next) : next;
    }
    case 'failed':
      return withService(model, event.name, { at: 'down' });
    case 'broken':
      return withService(model, event.name, { at: 'starting', bound: false });
    case 'closed':
    case 'brokenClosing':
      return afterClosed(model, event.name);
    case 'minutes':
      return bindAgain(model);
    case 'hours':
      return { ...bindAgain(model), conversation: false };
    case 'shutdown':
      return model.phase === 'stopping' || model.phase === 'saving' ? model : stop(model);
    case 'saved':
      return { ...model, phase: 'stopped', conversation: false };
    case 'opened':
      return { ...model, conversation: true };
    case 'crashed':
    case 'left':
      return { ...model, conversation: false };
  }
}

const UNBORN: ServiceModel = { at: 'absent', bound: false };

export const supervisorModel = fromTransition<SupervisorModel, SupervisorStep, never, undefined>(step, {
  phase: 'starting',
  forwarder: { at: 'starting', bound: false },
  redirector: UNBORN,
  conversation: false,
});

/** What can happen in a state of the model. */
export function stepsFrom(model: SupervisorModel): SupervisorStep[] {
  if (model.phase === 'stopped') return [];
  const ofService = (name: ListenerName): SupervisorStep[] => {
    switch (model[name].at) {
      case 'starting':
        return [
          { type: 'bound', name },
          { type: 'refused', name },
        ];
      case 'up':
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
    ...ofService('forwarder'),
    ...ofService('redirector'),
    { type: 'minutes' },
    { type: 'hours' },
    { type: 'shutdown' },
    ...(model.phase === 'saving' ? ([{ type: 'saved' }] as const) : []),
    // Also while it is open: a second time must change nothing.
    { type: 'opened' },
    ...(model.conversation ? ([{ type: 'crashed' }, { type: 'left' }] as const) : []),
  ];
}
