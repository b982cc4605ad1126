/**
 * What happens to each request: head → upload → record → faults → route → answer → record again.
 * Knows the connections, so that nothing is left of them at the end.
 */
import { type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type Socket } from 'node:net';
import { answerHeaders } from './answer-headers.ts';
import { apiError } from './api-errors.ts';
import { answerControl, isControl } from './control.ts';
import { Delivery } from './delivery.ts';
import { newId } from './events.ts';
import { type FaultPlan } from './faults.ts';
import { answerCountTokens, answerMessages } from './messages-route.ts';
import { answerModels, answerOther, headerError, kindOf } from './other-routes.ts';
import { AnswerAborted, OutgoingResponse } from './outgoing.ts';
import { RequestRecord } from './recorder.ts';
import { type Simulation } from './simulation.ts';
import { readAll, receive } from './upload.ts';

/** The requests under way, and the connections they came on. */
export class Service {
  readonly #simulation: Simulation;
  readonly #sockets = new Set<Socket>();
  readonly #underWay = new Set<Promise<void>>();
  #lastNumber = 0;
  #closing = false;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  readonly listener: RequestListener = (request, response) => {
    const work = this.#handle(request, response).catch((error: unknown) => {
      // A script that throws is a mistake in the test: it must be seen, and must not hang the client.
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(`The simulation failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
    });
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  };

  get connections(): number {
    return this.#sockets.size;
  }

  watch(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  async close(server: Server): Promise<void> {
    this.#closing = true;
    this.#simulation.recorder.close();
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...this.#underWay]);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (isControl(path)) {
      const answer = answerControl(
        this.#simulation,
        request.method ?? 'GET',
        request.url ?? path,
        await readAll(request),
      );
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer.json));
      return;
    }
    const record = this.#record(request, path);
    response.sendDate = true;
    for (const [name, value] of answerHeaders(record, this.#simulation.now())) response.setHeader(name, value);
    const out = new OutgoingResponse(request, response, () => {
      record.status = response.statusCode;
      record.answeredAt = this.#simulation.now();
    });
    const delivery = new Delivery(out, record.requestId);
    try {
      await this.#answer(request, record, delivery);
    } catch (error) {
      if (!(error instanceof AnswerAborted)) throw error;
    } finally {
      record.endedAt = this.#simulation.now();
      record.outcome = this.#outcome(response, out);
      this.#simulation.recorder.update(record);
    }
  }

  async #answer(request: IncomingMessage, record: RequestRecord, delivery: Delivery): Promise<void> {
    const { faults, recorder, maxBodyBytes } = this.#simulation;
    if (faults.takeUpload(record)) {
      record.faults = ['disconnect'];
      recorder.add(record);
      delivery.misbehave({ breaking: { kind: 'disconnect', at: 'upload' }, modifying: [] });
      return delivery.strikeBeforeHead();
    }
    const upload = await receive(request, maxBodyBytes);
    record.body = upload.body;
    // Speed and script as they are now: who is told of this request may set them for the next.
    const settled = { ...this.#simulation };
    recorder.add(record);
    if (!upload.complete) throw new AnswerAborted('gone');
    const plan = faults.take(record);
    record.faults = [...(plan.breaking === undefined ? [] : [plan.breaking]), ...plan.modifying].map(
      ({ kind }) => kind,
    );
    delivery.misbehave(plan);
    await delivery.strikeBeforeHead();
    if (upload.tooLarge) return delivery.error(apiError(413));
    await this.#route(settled, record, delivery, plan);
  }

  async #route(settled: Simulation, record: RequestRecord, delivery: Delivery, plan: FaultPlan): Promise<void> {
    const refused = record.path.startsWith('/v1/') ? headerError(record.headers) : undefined;
    if (refused !== undefined) return delivery.error(refused);
    if (record.kind === 'messages') return answerMessages(settled, record, delivery, plan);
    if (record.kind === 'count_tokens') return answerCountTokens(settled, record, delivery);
    const answer =
      record.kind === 'models' ? answerModels(settled.models, record.path) : answerOther(record.method, record.path);
    if ('json' in answer) return delivery.json(answer.status, JSON.stringify(answer.json));
    return delivery.error(answer);
  }

  #record(request: IncomingMessage, path: string): RequestRecord {
    const method = request.method ?? 'GET';
    const head = {
      number: (this.#lastNumber += 1),
      method,
      path,
      url: request.url ?? path,
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      kind: kindOf(method, path),
      receivedAt: this.#simulation.now(),
      requestId: newId('req_01'),
    };
    return new RequestRecord(head, this.#simulation.isSummaryRequest);
  }

  #outcome(response: ServerResponse, out: OutgoingResponse): RequestRecord['outcome'] {
    if (out.broken) return 'broken';
    if (response.writableFinished) return 'answered';
    return this.#closing ? 'closed' : 'aborted';
  }
}
