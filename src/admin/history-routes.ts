/** `GET /api/history`: what every compaction of the last 90 days cost and saved, for scripts and for `claude-db-proxy history`. */
import type { Request, Response, Router } from 'express';
import * as z from 'zod';
import { timestamp, type Timestamp } from '../../machines/units.ts';
import { errorAnswer } from '../error-responses.ts';
import type { CheckpointEntry, CompactionEntry, CompactionHistory, HistoryTotals } from '../store/history.ts';

/** What is told of the time and the conversation asked for, newest first. */
export interface HistoryAnswer {
  /** False while the state file cannot be read: then there is more than is told. */
  readonly complete: boolean;
  readonly totals: HistoryTotals;
  readonly compactions: readonly CompactionEntry[];
  readonly checkpoints: readonly CheckpointEntry[];
}

/** A moment: milliseconds since the Unix epoch, or an ISO date. */
const moment = z
  .string()
  .transform((text) => (/^\d{1,15}$/.test(text) ? Number(text) : Date.parse(text)))
  .refine((at) => Number.isFinite(at), 'a time is milliseconds since the Unix epoch, or an ISO date')
  .transform((at): Timestamp => timestamp(at));

const query = z.object({
  since: moment.optional(),
  until: moment.optional(),
  conversation: z.string().max(300).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
});

/** Adds the route to a router that is guarded. */
export function addHistoryRoutes(router: Router, history: CompactionHistory): void {
  router.get('/', (request: Request, response: Response) => {
    const asked = query.safeParse(request.query);
    if (!asked.success) {
      const message = `the query cannot be read: ${asked.error.issues.map((issue) => issue.message).join('; ')}`;
      const { body } = errorAnswer({ status: 400, type: 'invalid_request_error', message });
      response.status(400).type('json').send(body);
      return;
    }
    response.json({
      complete: history.isReadable,
      totals: history.totals(asked.data),
      compactions: history.compactions(asked.data),
      checkpoints: history.checkpoints(asked.data),
    } satisfies HistoryAnswer);
  });
}
