/**
 * The write-ahead log of a conversation that has a checkpoint: fingerprint and size of each message after it. It holds no
 * messages, which the client sends again with its compaction. After a crash it shows how far the conversation had come.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import { linkKey, type Lineage } from '../wire/lineage.ts';
import type { MessageRequest } from '../wire/message-request.ts';
import type { WalEntry, WalRecord } from './repository.ts';

/** The entries for the messages of a request after its first `blocks` blocks. */
export function entriesAfter(request: MessageRequest, lineage: Lineage, blocks: number): WalEntry[] {
  const entries: WalEntry[] = [];
  for (let at = blocks; at < lineage.length; at += 1) {
    const message = lineage.messageIndexes[at] ?? 0;
    // The link after the last block of a message identifies the whole message.
    if (lineage.messageIndexes[at + 1] === message) continue;
    entries.push({ message, fingerprint: linkKey(lineage, at + 1), bytes: request.bytesOf(message) });
  }
  return entries;
}

export class WriteAheadLog {
  #checkpoint: CheckpointRef | null = null;
  #entries: readonly WalEntry[] = [];

  /** Null when there is no checkpoint. */
  get record(): WalRecord | null {
    return this.#checkpoint === null ? null : { checkpoint: this.#checkpoint, entries: this.#entries };
  }

  /** Replaces the checkpoint and the entries; returns true when they differ from those before. */
  replace({ checkpoint, entries }: WalRecord): boolean {
    const last = entries.at(-1);
    const lastBefore = this.#entries.at(-1);
    // The last fingerprint identifies everything before it.
    const same =
      this.#checkpoint?.id === checkpoint.id &&
      entries.length === this.#entries.length &&
      last?.fingerprint === lastBefore?.fingerprint;
    this.#checkpoint = checkpoint;
    this.#entries = entries;
    return !same;
  }

  /** Removes the checkpoint and the entries; returns true when there was a checkpoint. */
  clear(): boolean {
    const had = this.#checkpoint !== null;
    this.#checkpoint = null;
    this.#entries = [];
    return had;
  }
}
