/** Histories of a set size, shaped like those of a real session: tool loops with results of some kilobytes. */
import type { Message } from '../../src/wire/message-request.ts';

const WORDS = 'the parser reads each line of the file and keeps what it finds in a table of names and places '.repeat(
  60,
);

/** A history of about `bytes` bytes of JSON that ends with a user message. */
export function historyOf(bytes: number): Message[] {
  const messages: Message[] = [{ role: 'user', content: 'Please go through the sources and fix what is broken.' }];
  let size = 200;
  for (let turn = 1; size < bytes; turn += 1) {
    const id = `toolu_${String(turn).padStart(24, '0')}`;
    const result = `${turn}: ${WORDS.slice(0, 2_000 + ((turn * 977) % 3_000))}`;
    const step: Message[] = [
      {
        role: 'assistant',
        content: [
          { type: 'text', text: `Step ${turn}: reading the next file.` },
          { type: 'tool_use', id, name: 'Read', input: { file_path: `/src/file-${turn}.ts`, offset: turn } },
        ],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: result }] },
    ];
    messages.push(...step);
    size += JSON.stringify(step).length;
  }
  return messages;
}

/** The body of a message request with that history. */
export const bodyOf = (messages: readonly Message[]): Buffer =>
  Buffer.from(
    JSON.stringify({ model: 'claude-opus-5-5', messages, system: [], tools: [], max_tokens: 32_000, stream: true }),
  );
