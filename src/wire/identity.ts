/** Session, agent and class of a request, from its headers, else from `metadata.user_id`. */
import { headerValue, type RawHeaders } from './headers.ts';
import { isObject, parseJson } from './json.ts';

/**
 * Classes of `x-claude-code-request-class` (2.1.330): `main`, `subagent` and `workflow` are turns of a conversation,
 * `auxiliary` and `side_reply` are auxiliary. `unknown`: no header (base-URL mode, older versions); the content decides.
 */
export type RequestClass = 'turn' | 'compaction' | 'auxiliary' | 'unknown';

export interface ClientIdentity {
  readonly session: string | null;
  /** Set for a subagent, which shares the session of its parent. */
  readonly agent: string | null;
}

/** What Claude Code's headers say about a message request (wire.md, Who is asking). */
export interface ClientHeaders extends ClientIdentity {
  readonly class: RequestClass;
  /** The subagent that started this one (documented; 2.1.330 does not send it for subagents of the main conversation). */
  readonly parentAgent: string | null;
  /** True on the first request after a compaction. */
  readonly compacted: boolean;
}

const orNull = (value: string | undefined): string | null => (value === undefined || value === '' ? null : value);

function classOf(value: string | undefined): RequestClass {
  switch (value?.trim().toLowerCase()) {
    case undefined:
    case '':
      return 'unknown';
    case 'main':
    case 'subagent':
    case 'workflow':
      return 'turn';
    case 'compaction':
      return 'compaction';
    default:
      // An unknown class is not a turn.
      return 'auxiliary';
  }
}

export function readClientHeaders(headers: RawHeaders): ClientHeaders {
  return {
    session: orNull(headerValue(headers, 'x-claude-code-session-id')),
    agent: orNull(headerValue(headers, 'x-claude-code-agent-id')),
    parentAgent: orNull(headerValue(headers, 'x-claude-code-parent-agent-id')),
    class: classOf(headerValue(headers, 'x-claude-code-request-class')),
    compacted: headerValue(headers, 'x-claude-code-context-compacted') !== undefined,
  };
}

/**
 * The session id in `metadata.user_id`: a JSON string with `session_id` (2.1.330), or `user_…_session_<uuid>`
 * (older clients). Null for anything else.
 */
export function sessionOfUserId(userId: string | null): string | null {
  if (userId === null) return null;
  if (userId.startsWith('{')) {
    const json = parseJson(userId);
    const session = isObject(json) ? json['session_id'] : null;
    return typeof session === 'string' && session !== '' ? session : null;
  }
  const marker = '_session_';
  const at = userId.lastIndexOf(marker);
  return at < 0 ? null : orNull(userId.slice(at + marker.length));
}
