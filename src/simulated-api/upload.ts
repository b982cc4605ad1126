/** The upload of a request: its body, bounded. */
import { type IncomingMessage } from 'node:http';

/** A body as far as it came, and whether it came whole. */
export interface Upload {
  readonly body: Buffer;
  readonly complete: boolean;
  readonly tooLarge: boolean;
}

/** Reads a body; what is over the limit is read and thrown away, so that the client gets to hear the answer. */
export async function receive(request: IncomingMessage, limit: number): Promise<Upload> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
    }
  } catch {
    return { body: Buffer.concat(chunks), complete: false, tooLarge: false };
  }
  return { body: Buffer.concat(chunks), complete: true, tooLarge: size > limit };
}

/** A whole body as text. */
export async function readAll(request: IncomingMessage): Promise<string> {
  return (await receive(request, Infinity)).body.toString('utf8');
}
