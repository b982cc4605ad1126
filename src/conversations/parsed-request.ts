/** A message request as the conversations take it: who asks, what for, and the bytes it came as. */
import type { RawHeaders } from '../wire/headers.ts';
import type { LaunchSettings } from '../wire/launch-settings.ts';
import type { History, MessageRequest } from '../wire/message-request.ts';
import { sessionOfUserId, type ClientHeaders, type ClientIdentity } from '../wire/identity.ts';

/** A message request whose outline has been read. */
export interface ParsedRequest {
  readonly labels: ClientHeaders;
  /** What the client's launch was given. */
  readonly launch: LaunchSettings;
  readonly request: MessageRequest;
  /** The messages that are history: a compaction's without its instruction. */
  readonly history: History;
  readonly path: string;
  /** End-to-end headers. */
  readonly headers: RawHeaders;
  readonly body: Buffer;
}

/** Who speaks: from the headers, else from the body's metadata. */
export function identityOf({ labels, request }: Pick<ParsedRequest, 'labels' | 'request'>): ClientIdentity {
  return { session: labels.session ?? sessionOfUserId(request.userId), agent: labels.agent };
}
