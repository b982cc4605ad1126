/**
 * The control endpoint under `/__simulated/`, for those who run the simulation as a process of its own:
 * faults, requests, speed and reset, as JSON.
 */
import { type Speed } from './behaviour.ts';
import { parseFaultRequest } from './fault-input.ts';
import { type RecordedRequest } from './recorder.ts';
import { type Simulation } from './simulation.ts';
import { isObject, parseJson } from '../wire/json.ts';

const PREFIX = '/__simulated/';

/** An answer of the control endpoint. */
export interface ControlAnswer {
  readonly status: number;
  readonly json: unknown;
}

/** Whether a path belongs to the control endpoint. */
export function isControl(path: string): boolean {
  return path.startsWith(PREFIX);
}

/**
 * Answers a control request:
 * `POST /faults` `{fault, times?, when?}`, `GET|DELETE /faults`; `GET /requests?since=N&bodies=1`, `DELETE /requests`;
 * `POST /speed` `{firstByteMs?, tokensPerSecond?}`; `POST /reset`.
 */
export function answerControl(simulation: Simulation, method: string, url: string, body: string): ControlAnswer {
  const { pathname, searchParams } = new URL(url, 'http://simulated');
  switch (`${method} ${pathname.slice(PREFIX.length)}`) {
    case 'POST faults': {
      const order = parseFaultRequest(parseJson(body));
      if ('problem' in order) return { status: 400, json: { error: order.problem } };
      const { id } = simulation.faults.add(order.fault, order.options);
      return { status: 201, json: { id } };
    }
    case 'GET faults':
      return { status: 200, json: simulation.faults.list() };
    case 'DELETE faults':
      simulation.faults.clear();
      return { status: 200, json: {} };
    case 'GET requests': {
      const since = Number(searchParams.get('since') ?? 0);
      const recent = simulation.recorder.requests.filter((request) => request.number > since);
      return { status: 200, json: recent.map((request) => requestJson(request, searchParams.has('bodies'))) };
    }
    case 'DELETE requests':
      simulation.recorder.clear();
      return { status: 200, json: {} };
    case 'POST speed':
      simulation.speed = speedFrom(parseJson(body));
      return { status: 200, json: simulation.speed };
    case 'POST reset':
      simulation.recorder.clear();
      simulation.faults.clear();
      simulation.cache.clear();
      return { status: 200, json: {} };
    default:
      return { status: 404, json: { error: `No ${method} ${pathname} here` } };
  }
}

function requestJson(request: RecordedRequest, withBody: boolean): object {
  const { number, method, path, url, kind, isSummary, receivedAt, endedAt, status, usage, faults, outcome } = request;
  const model = request.message?.model;
  const common = {
    number,
    method,
    path,
    url,
    kind,
    model,
    isSummary,
    receivedAt,
    endedAt,
    status,
    usage,
    faults,
    outcome,
  };
  const { authorization, 'x-api-key': apiKey, ...headers } = request.headers;
  const hidden = { ...(authorization && { authorization: '***' }), ...(apiKey && { 'x-api-key': '***' }) };
  const shown = { ...common, requestId: request.requestId, headers: { ...headers, ...hidden } };
  return withBody ? { ...shown, body: request.body.toString('utf8') } : shown;
}

function speedFrom(json: unknown): Speed {
  if (!isObject(json)) return {};
  const { firstByteMs, tokensPerSecond } = json;
  return {
    ...(typeof firstByteMs === 'number' && { firstByteMs }),
    ...(typeof tokensPerSecond === 'number' && { tokensPerSecond }),
  };
}
