/** What our part of Claude Code's status line says. Pure. */
import type { StatusLineAnswer } from '../../src/admin/status-routes.ts';

const ON = '◈ DB_PROXY_ON';

/** What is known of the session that the line is for. */
export interface Session {
  /** The proxy's word on it; null when it has not seen the session. */
  readonly answer: StatusLineAnswer | null;
  /** `claude` was started with our proxy in its environment, and that proxy answers. */
  readonly throughUs: boolean;
  /** The client has had answers of the API in this session. */
  readonly hasSpoken: boolean;
}

/** The line; '' for a session that does not run through us. */
export function lineText({ answer, throughUs, hasSpoken }: Session): string {
  // Before the first request there is nothing to know yet. After it, who is unknown goes another way.
  if (answer === null) return throughUs && !hasSpoken ? ON : '';
  if (answer.passthrough) return `${ON} passthrough`;
  const share = `${ON} ${Math.round(answer.utilisation * 100)}%`;
  switch (answer.phase) {
    case 'IDLE':
      return share;
    case 'CHECKPOINTING':
      return `${share} checkpointing…`;
    case 'WAL_ACTIVE':
    case 'SWAP_READY':
      return `${share} ready`;
  }
}

/** Ours behind the user's own line, at the end of its last row. */
export function joined(users: string, ours: string): string {
  const before = users.trimEnd();
  if (before === '' || ours === '') return before + ours;
  return `${before}  ${ours}`;
}
