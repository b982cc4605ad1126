/** A parsed message request: its client, its purpose, and the bytes it was read from. */
import type { RawHeaders } from '../wire/headers.ts';
import type { LaunchSettings } from '../wire/launch-settings.ts';
import type { History, MessageRequest } from '../wire/message-request.ts';
import { sessionOfUserId, type ClientHeaders, type ClientIdentity } from '../wire/identity.ts';

export interface ParsedRequest {
  readonly labels: ClientHeaders;
  /** Settings of the client's launch. */
  readonly launch: LaunchSettings;
  readonly request: MessageRequest;
  /** The messages that are history: a compaction's without its instruction. */
  readonly history: History;
  readonly path: string;
  /** End-to-end headers. */
  readonly headers: RawHeaders;
  readonly body: Buffer;
}

/** The client, from the headers or else from the body's metadata. */
export function identityOf({ labels, request }: Pick<ParsedRequest, 'labels' | 'request'>): ClientIdentity {
  return { session: labels.session ?? sessionOfUserId(request.userId), agent: labels.agent };
}
