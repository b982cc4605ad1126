/** The headers that every answer of the API has. */
import { type RecordedRequest } from './recorder.ts';

/** Request id and organisation, and for messages the remaining rate limits. */
export function answerHeaders(record: RecordedRequest, now: number): readonly (readonly [string, string])[] {
  const common = [
    ['request-id', record.requestId],
    ['anthropic-organization-id', '5a1b0c3d-0000-4000-8000-51b01a7ed000'],
  ] as const;
  if (record.kind !== 'messages') return common;
  const reset = new Date(now + 60_000).toISOString().replace(/\.\d+/, '');
  const limits = { requests: 4_000, 'input-tokens': 2_000_000, 'output-tokens': 400_000, tokens: 2_400_000 };
  return [
    ...common,
    ...Object.entries(limits).flatMap(([what, limit]) => [
      [`anthropic-ratelimit-${what}-limit`, String(limit)] as const,
      [`anthropic-ratelimit-${what}-remaining`, String(limit - 1)] as const,
      [`anthropic-ratelimit-${what}-reset`, reset] as const,
    ]),
  ];
}
