/** Everything but messages: the models, and what else the client calls while it runs. Pure: request in, answer out. */
import { apiError, type ApiError } from './api-errors.ts';
import { findModel, modelJson, type SimulatedModel } from './models.ts';
import { type RequestKind } from './recorder.ts';

/** An answer in one piece. */
export interface PlainAnswer {
  readonly status: number;
  readonly json: object;
}

/** Which route a request takes. */
export function kindOf(method: string, path: string): RequestKind {
  if (method === 'POST' && path === '/v1/messages') return 'messages';
  if (method === 'POST' && path === '/v1/messages/count_tokens') return 'count_tokens';
  if (method === 'GET' && (path === '/v1/models' || path.startsWith('/v1/models/'))) return 'models';
  return 'other';
}

/** What the API insists on before it looks at a request under `/v1/`. */
export function headerError(headers: Readonly<Record<string, unknown>>): ApiError | undefined {
  if (headers['x-api-key'] === undefined && headers['authorization'] === undefined) {
    return apiError(401, 'x-api-key header is required');
  }
  if (headers['anthropic-version'] === undefined) return apiError(400, 'anthropic-version: header is required');
  return undefined;
}

/** Answers `GET /v1/models` and `GET /v1/models/{id}`. */
export function answerModels(models: readonly SimulatedModel[], path: string): PlainAnswer | ApiError {
  const id = decodeURIComponent(path.slice('/v1/models/'.length));
  if (id === '') {
    const data = models.map(modelJson);
    return {
      status: 200,
      json: { data, has_more: false, first_id: models[0]?.id ?? null, last_id: models.at(-1)?.id ?? null },
    };
  }
  const model = findModel(models, id);
  return model === undefined ? apiError(404, `model: ${id}`) : { status: 200, json: modelJson(model) };
}

/** Answers the rest: small plausible answers to what the client reports, 404 to what it can do without. */
export function answerOther(method: string, path: string): PlainAnswer | ApiError {
  if (method === 'POST' && path.startsWith('/api/event_logging/')) {
    return { status: 200, json: { accepted_count: 0, rejected_count: 0 } };
  }
  if ((method === 'GET' || method === 'HEAD') && path === '/api/hello')
    return { status: 200, json: { message: 'hello' } };
  if (path === '/v1/messages' || path === '/v1/messages/count_tokens') return apiError(405);
  return apiError(404);
}
