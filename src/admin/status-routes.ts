/**
 * The state of the running proxy for the commands: `GET /api/status` for `claude-db-proxy status`, and
 * `GET /api/statusline` for Claude Code's status line, which is requested often and must be fast. No message text.
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
  /** Share of the effective window in use; 0 while the window is unknown. */
  readonly utilisation: number;
  /** Tokens. */
  readonly used: number;
  readonly effectiveWindow: number;
  readonly model: string | null;
  /** Milliseconds since the Unix epoch; null before the first request. */
  readonly lastActivity: number | null;
}

/** The answer of `GET /api/status`. */
export interface StatusAnswer {
  readonly version: string;
  readonly passthrough: boolean;
  /** Time saved by served compactions in the last 90 days, in milliseconds. */
  readonly savedMs: number;
  /** Compactions served from a checkpoint in the last 90 days. */
  readonly served: number;
  /** Most recently active first. */
  readonly conversations: readonly ConversationStatus[];
}

/** The answer of `GET /api/statusline?session=…`; 404 for an unknown session. */
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

/** @param guardedAt returns a router for a path that requires the token */
export function addStatusRoutes(guardedAt: (path: string) => Router, options: StatusRoutesOptions): void {
  const { conversations, passthrough, totals } = options;

  guardedAt('/api/status').get('/', (_request, response) => {
    const all = conversations.actors.ids.flatMap((id): ConversationStatus[] => {
      const context = conversations.actors.snapshot(id)?.context;
      if (context === undefined) return [];
      const { used, effectiveWindow, model, lastActivity } = context;
      const share = Number(utilisation(context).toFixed(4));
      const usage = { used, effectiveWindow, model, lastActivity };
      return [{ id, phase: conversations.actors.phase(id), utilisation: share, ...usage }];
    });
    all.sort((a, b) => (b.lastActivity ?? 0) - (a.lastActivity ?? 0));
    const { savedMs, served } = totals();
    const answer: StatusAnswer = { version: VERSION, passthrough, savedMs, served, conversations: all };
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
