/** The models that the simulated API serves, and what `GET /v1/models` tells about them. */

/** One model. `maxInputTokens: null` is what the API says where it gives no figure. */
export interface SimulatedModel {
  readonly id: string;
  readonly displayName: string;
  readonly createdAt: string;
  readonly maxInputTokens: number | null;
  readonly maxTokens: number;
}

/** What a `claude-*` model that is not in the list gets: the client asks small helpers by ever new names. */
const UNLISTED = { maxInputTokens: 200_000, maxTokens: 64_000 };

const LONG_CONTEXT_WINDOW = 1_000_000;

/** The models served unless a test says otherwise. */
export const DEFAULT_MODELS: readonly SimulatedModel[] = [
  model('claude-opus-5-5', 'Claude Opus 5.5', '2026-06-30', 1_000_000, 128_000),
  model('claude-sonnet-5-5', 'Claude Sonnet 5.5', '2026-06-30', 1_000_000, 128_000),
  model('claude-haiku-5-5', 'Claude Haiku 5.5', '2026-06-30', 1_000_000, 128_000),
  model('claude-sonnet-4-6', 'Claude Sonnet 4.6', '2026-02-17', 200_000, 64_000),
  model('claude-haiku-4-5', 'Claude Haiku 4.5', '2025-10-15', 200_000, 64_000),
];

/** The model that `id` names: also by a dated name (`…-20251001`) or, for any other `claude-*`, a made-up entry. */
export function findModel(models: readonly SimulatedModel[], id: string): SimulatedModel | undefined {
  const bare = id.replace(/-\d{8}$/, '').replace(/-latest$/, '');
  const listed = models.find((candidate) => candidate.id === id || candidate.id === bare);
  if (listed !== undefined) return listed;
  if (!bare.startsWith('claude-')) return undefined;
  return { id: bare, displayName: bare, createdAt: '2025-01-01T00:00:00Z', ...UNLISTED };
}

/** Tokens a prompt may have: the model's window, or one million where the long-context beta was asked for. */
export function windowOf(model: SimulatedModel, betas: string): number {
  const window = model.maxInputTokens ?? UNLISTED.maxInputTokens;
  return betas.includes('context-1m-') ? Math.max(window, LONG_CONTEXT_WINDOW) : window;
}

/** A model as `GET /v1/models/{id}` shows it. */
export function modelJson(model: SimulatedModel): object {
  return {
    type: 'model',
    id: model.id,
    display_name: model.displayName,
    created_at: model.createdAt,
    max_input_tokens: model.maxInputTokens,
    max_tokens: model.maxTokens,
  };
}

function model(id: string, displayName: string, day: string, window: number, maxTokens: number): SimulatedModel {
  return { id, displayName, createdAt: `${day}T00:00:00Z`, maxInputTokens: window, maxTokens };
}
