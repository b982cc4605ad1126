/**
 * What the commands show of a running proxy: `GET /api/status` for `claude-db-proxy status`, `GET /api/statusline` for
 * Claude Code's status line, which asks often and must be quick. Numbers and names; no message text.
 */
import type { Router } from 'express';
import { utilisation } from '../../machines/conversation-calculations.ts';
import type { Phase } from '../../machines/phases.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { HistoryTotals } from '../store/history.ts';
import { VERSION } from '../version.ts';

/** One conversation in the answer of `GET /api/status`. */
export interface ConversationStatus {
  readonly id: string;
  readonly phase: Phase;
  /** Share of the effective window in use, 0 while nothing is known. */
  readonly utilisation: number;
  /** Tokens. */
  readonly used: number;
  readonly effective_window: number;
  readonly model: string | null;
  /** Milliseconds since the Unix epoch; null until something has happened. */
  readonly last_activity: number | null;
}

/** The answer of `GET /api/status`. */
export interface StatusAnswer {
  readonly version: string;
  readonly passthrough: boolean;
  /** How long nobody waited for a summary, in milliseconds; of the 90 days that are kept. */
  readonly saved_ms: number;
  /** Compactions answered from a checkpoint; of the same time. */
  readonly served: number;
  /** The most recently active first. */
  readonly conversations: readonly ConversationStatus[];
}

/** The answer of `GET /api/statusline?session=…`; 404 for a session that is not known. */
export interface StatusLineAnswer {
  readonly phase: Phase;
  readonly utilisation: number;
  readonly passthrough: boolean;
}

export interface StatusRoutesOptions {
  readonly conversations: Conversations;
  readonly passthrough: boolean;
  readonly totals: () => Pick<HistoryTotals, 'savedMs' | 'served'>;
}

/** @param guardedAt makes a router for all below a path, which only those reach who show the token */
export function addStatusRoutes(guardedAt: (path: string) => Router, options: StatusRoutesOptions): void {
  const { conversations, passthrough, totals } = options;

  guardedAt('/api/status').get('/', (_request, response) => {
    const all = conversations.actors.ids.flatMap((id): ConversationStatus[] => {
      const context = conversations.actors.snapshot(id)?.context;
      if (context === undefined) return [];
      const { used, effectiveWindow, model, lastActivity } = context;
      const share = Number(utilisation(context).toFixed(4));
      const known = { used, effective_window: effectiveWindow, model, last_activity: lastActivity };
      return [{ id, phase: conversations.actors.phase(id), utilisation: share, ...known }];
    });
    all.sort((a, b) => (b.last_activity ?? 0) - (a.last_activity ?? 0));
    const { savedMs, served } = totals();
    const answer: StatusAnswer = { version: VERSION, passthrough, saved_ms: savedMs, served, conversations: all };
    response.json(answer);
  });

  guardedAt('/api/statusline').get('/', (request, response) => {
    const { session } = request.query;
    const id = typeof session === 'string' ? conversations.latestConversationOf({ session, agent: null }) : null;
    const context = id === null ? undefined : conversations.actors.snapshot(id)?.context;
    if (id === null || context === undefined) {
      const message = 'claude-db-proxy: there is no such session';
      response.status(404).json({ type: 'error', error: { type: 'not_found_error', message } });
      return;
    }
    const share = Number(utilisation(context).toFixed(4));
    const answer: StatusLineAnswer = { phase: conversations.actors.phase(id), utilisation: share, passthrough };
    response.json(answer);
  });
}
