/**
 * The write-ahead log of a conversation that has a checkpoint: which messages came after the anchor, their fingerprints
 * and sizes. No message is kept; the client sends them again with its compaction. What is recorded here tells after a
 * crash how far the conversation had come.
 */
import type { CheckpointRef } from '../../machines/conversation-events.ts';
import { linkKey, type Lineage } from '../wire/lineage.ts';
import type { MessageRequest } from '../wire/message-request.ts';
import type { WalEntry, WalRecord } from './repository.ts';

/** The messages of a request that are behind the first `blocks` blocks, as entries. */
export function entriesAfter(request: MessageRequest, lineage: Lineage, blocks: number): WalEntry[] {
  const entries: WalEntry[] = [];
  for (let at = blocks; at < lineage.length; at += 1) {
    const message = lineage.messageIndexes[at] ?? 0;
    // The link behind a message's last block stands for the whole message.
    if (lineage.messageIndexes[at + 1] === message) continue;
    entries.push({ message, fingerprint: linkKey(lineage, at + 1), bytes: request.bytesOf(message) });
  }
  return entries;
}

export class WriteAheadLog {
  #checkpoint: CheckpointRef | null = null;
  #entries: readonly WalEntry[] = [];

  /** What is to be kept; null when there is no checkpoint that anything could follow. */
  get record(): WalRecord | null {
    return this.#checkpoint === null ? null : { checkpoint: this.#checkpoint, entries: this.#entries };
  }

  /** Notes what follows a checkpoint now; true if that is not what was noted before. */
  replace({ checkpoint, entries }: WalRecord): boolean {
    const last = entries.at(-1);
    const lastBefore = this.#entries.at(-1);
    // The last fingerprint stands for everything before it.
    const same =
      this.#checkpoint?.id === checkpoint.id &&
      entries.length === this.#entries.length &&
      last?.fingerprint === lastBefore?.fingerprint;
    this.#checkpoint = checkpoint;
    this.#entries = entries;
    return !same;
  }

  /** The conversation has no checkpoint any more; true if it had one. */
  clear(): boolean {
    const had = this.#checkpoint !== null;
    this.#checkpoint = null;
    this.#entries = [];
    return had;
  }
}
