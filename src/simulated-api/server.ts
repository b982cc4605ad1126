/** The simulated API: a listener on 127.0.0.1, with or without TLS, and methods to control it. */
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type Socket } from 'node:net';
import { type Responder } from './scripted-answers.ts';
import { type Fault, type Speed } from './behaviour.ts';
import { type FaultHandle, type FaultOptions } from './faults.ts';
import { type RecordedRequest } from './recorder.ts';
import { Service } from './service.ts';
import { createSimulation, type SimulationOptions } from './simulation.ts';

/** How to start a simulated API. */
export interface SimulatedApiOptions extends SimulationOptions {
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined;
  readonly host?: string | undefined;
  /** Key and certificate chain in PEM: serves HTTPS instead of HTTP. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined;
}

/** A running simulated API. */
export interface SimulatedApi {
  /** E.g. `http://127.0.0.1:43211`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** What came in, oldest first; the control endpoint is not recorded. */
  readonly requests: readonly RecordedRequest[];
  /** The recorded requests for messages. */
  readonly messages: readonly RecordedRequest[];
  /** Connections that are open now, idle ones included. */
  readonly connections: number;
  /** Queues a fault, by default for the next message request. */
  fault(fault: Fault, options?: FaultOptions): FaultHandle;
  clearFaults(): void;
  /** Sets the script for the requests to come; `undefined` returns to the default answers. */
  respondWith(script: Responder | undefined): void;
  setSpeed(speed: Speed): void;
  /** The first request, past or future, for which `predicate` holds. Tried at arrival and when its answer ends. */
  waitFor(predicate: (request: RecordedRequest) => boolean, timeoutMs?: number): Promise<RecordedRequest>;
  /** Forgets requests, faults and cached prompts. */
  reset(): void;
  /** Ends all connections, answers under way included, and leaves no handle. */
  close(): Promise<void>;
}

const DEFAULT_WAIT_MS = 2_000;

/** Longer than any pool keeps an idle connection, so that the server never closes one during a request. */
const KEEP_ALIVE_MS = 120_000;

/** Starts a simulated API. */
export async function startSimulatedApi(options: SimulatedApiOptions = {}): Promise<SimulatedApi> {
  const { host = '127.0.0.1', tls } = options;
  const simulation = createSimulation(options);
  const service = new Service(simulation);
  const server = tls === undefined ? createServer(service.listener) : createTlsServer(tls, service.listener);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.on('connection', (socket: Socket) => service.watch(socket));
  const port = await listen(server, options.port ?? 0, host);
  let closing: Promise<void> | undefined;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host}:${port}`,
    port,
    get requests() {
      return simulation.recorder.requests;
    },
    get messages() {
      return simulation.recorder.requests.filter((request) => request.kind === 'messages');
    },
    get connections() {
      return service.connections;
    },
    fault: (fault, faultOptions) => simulation.faults.add(fault, faultOptions),
    clearFaults: () => simulation.faults.clear(),
    respondWith: (script) => {
      simulation.script = script;
    },
    setSpeed: (speed) => {
      simulation.speed = speed;
    },
    waitFor: (predicate, timeoutMs = DEFAULT_WAIT_MS) => simulation.recorder.waitFor(predicate, timeoutMs),
    reset: () => {
      simulation.recorder.clear();
      simulation.faults.clear();
      simulation.cache.clear();
    },
    close: () => (closing ??= service.close(server)),
  };
}

function listen(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
