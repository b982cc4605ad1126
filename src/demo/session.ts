/** The coding session of the demo: its messages, tool results of realistic size, and its summary. */

import type { Block, Message } from '../wire/message-request.ts';

export interface ScriptedTurn {
  readonly user: string;
  readonly assistant: string;
  /** Name and size in tokens of a tool result before the answer. */
  readonly reads?: { readonly name: string; readonly tokens: number };
}

/** Size of the client's system prompt and tools. */
export const SYSTEM_TOKENS = 20_000;

/** Turns up to the checkpoint threshold (70 %). */
export const OPENING: readonly ScriptedTurn[] = [
  {
    user: 'The nightly import loses orders. Start with the reader.',
    reads: { name: 'src/import/reader.ts', tokens: 19_000 },
    assistant:
      'The reader cuts the file at every line break before it looks at quotes. A note with a line break in it becomes two broken rows.',
  },
  {
    user: "Does yesterday's log bear that out?",
    reads: { name: 'logs/import-0611.log', tokens: 22_000 },
    assistant:
      'It does: 41 of 50,212 rows were dropped, and each of them follows a row whose note is cut off in the middle of a quoted field.',
  },
  {
    user: 'What do the tests cover today?',
    reads: { name: 'test/import/reader.test.ts', tokens: 18_000 },
    assistant:
      'Commas in quotes, empty fields, a missing header. No test has a line break inside quotes, so nobody noticed.',
  },
  {
    user: 'One rule: src/types.ts stays as it is, the mobile app reads it.',
    reads: { name: 'src/types.ts', tokens: 15_000 },
    assistant:
      'Understood. OrderRow keeps its fields and their order; whatever the reader needs for itself stays inside the reader.',
  },
  {
    user: 'Check who else calls the reader.',
    reads: { name: '14 files that mention readRows', tokens: 18_000 },
    assistant:
      'Two callers: the nightly job, and the preview in the back office. The preview passes a stream, so the fix has to work on pieces.',
  },
  {
    user: 'Then run the whole suite once, so that we know where we stand.',
    reads: { name: 'npm test', tokens: 15_500 },
    assistant: '612 pass, 3 are skipped, none fail. Now I know what green looks like before I change anything.',
  },
];

/** Turns while the checkpoint is computed. */
export const DURING_CHECKPOINT: readonly ScriptedTurn[] = [
  {
    user: 'Write the failing test first.',
    reads: { name: 'the new test, and its run', tokens: 1_400 },
    assistant:
      'Added "keeps a line break inside quotes". It fails as expected: three rows come out where there should be two.',
  },
  {
    user: 'Good. Now the fix, as small as you can.',
    reads: { name: 'src/import/reader.ts, changed', tokens: 1_700 },
    assistant:
      'splitRecords() walks the characters once and remembers whether it is inside quotes; only outside does a line break end a row.',
  },
  {
    user: 'What about \\r\\n?',
    reads: { name: 'test run', tokens: 900 },
    assistant:
      'Both endings count as one line break, also when a piece of the stream ends between the two. There is a test for that now.',
  },
  {
    user: 'And a quote inside quotes?',
    reads: { name: 'test run', tokens: 900 },
    assistant:
      'Two quotes in a row stand for one, as the format says. I added the case with a pair cut apart by the stream.',
  },
  {
    user: 'Is it still fast enough for 50,000 rows?',
    reads: { name: 'bench/import.ts', tokens: 1_500 },
    assistant:
      '0.31 s against 0.28 s before, for the file of yesterday. Reading it from the disk takes longer than that.',
  },
  {
    user: 'Any other place that cuts at line breaks?',
    reads: { name: 'grep for split in src', tokens: 1_000 },
    assistant:
      'Three, and none of them reads files of customers: the log viewer, the changelog check and the banner at start.',
  },
  {
    user: "Don't call it parseLines anywhere, lines are not records.",
    reads: { name: 'git diff --stat', tokens: 700 },
    assistant: 'Renamed in the reader and both tests; the word is gone from src/import. Nothing outside used it.',
  },
  {
    user: 'Does the preview still work?',
    reads: { name: 'back office preview', tokens: 1_300 },
    assistant:
      'It does: the preview gets whole records from its stream now, and shows notes with line breaks as they were typed.',
  },
  {
    user: "Run yesterday's file through it.",
    reads: { name: 'import --dry-run', tokens: 1_300 },
    assistant:
      'All 50,212 rows arrive. The 41 that were lost are among them; I compared their order numbers with the log.',
  },
  {
    user: 'And the whole suite again.',
    reads: { name: 'npm test', tokens: 1_500 },
    assistant: '617 pass, 3 are skipped, none fail: the five new tests and everything that was there before.',
  },
];

/** Exceeds the swap threshold (80 %), where the client compacts. */
export const BEFORE_COMPACTION: ScriptedTurn = {
  user: 'Show me the whole diff before we go on.',
  reads: { name: 'git diff', tokens: 9_500 },
  assistant:
    'Four files: the reader, its test, the preview and its test. src/types.ts is not among them. Still open: changelog and commit.',
};

/** Turns after the compaction. */
export const AFTER_COMPACTION: readonly ScriptedTurn[] = [
  {
    user: 'Looks right. What was still open?',
    assistant: 'The line in the changelog, and the commit. src/types.ts is untouched, as you asked at the beginning.',
  },
  {
    user: 'Write the changelog line.',
    reads: { name: 'CHANGELOG.md', tokens: 1_200 },
    assistant: 'Added under Fixed: "The nightly import no longer loses orders whose notes contain a line break."',
  },
  {
    user: 'Commit it.',
    reads: { name: 'git commit', tokens: 300 },
    assistant: 'Committed as one change, "Read quoted line breaks as part of their field". The tree is clean.',
  },
];

const EVERYTHING = [...OPENING, ...DURING_CHECKPOINT, BEFORE_COMPACTION, ...AFTER_COMPACTION];

/** The assistant's answer to a user message of this session; undefined for any other. */
export function answerTo(words: string): string | undefined {
  return EVERYTHING.find(({ user }) => user === words)?.assistant;
}

const LINES = [
  '  const record = pending.slice(start, end); // may still lack its closing quote',
  '  if (record.length === 0 && !options.keepEmpty) return { kind: "skipped", reason: "empty" };',
  '  02:14:07 import row accepted, order written, 3 positions, 1 note',
  '  expect(rows.map((row) => row.orderNumber)).to.deep.equal(expected);',
  '  for (const field of fields) total += field.endsWith(",") ? 1 : 0;',
  '  02:14:09 import row dropped: 4 fields where 11 were expected',
  '  readonly deliveryNote: string | null; // as typed by the customer',
  '  yield* splitFields(record, { separator: options.separator, quote: options.quote });',
];

/** A tool result of about `tokens` tokens. */
export function listing(name: string, tokens: number): string {
  const lines = [`--- ${name} ---`];
  let length = lines.join('').length;
  for (let number = 1; length < tokens * 4 - 80; number += 1) {
    const line = `${String(number).padStart(5)}${LINES[(number * 7 + name.length) % LINES.length]}`;
    lines.push(line);
    length += line.length + 2;
  }
  return lines.join('\n');
}

/** The messages that a turn adds before its last request, and that request's own message. */
export function messagesOf(
  { user, reads }: ScriptedTurn,
  number: number,
): { readonly before: readonly Message[]; readonly last: string | readonly Block[] } {
  if (reads === undefined) return { before: [], last: user };
  const id = `toolu_01demo${number}`;
  const call = { type: 'tool_use', id, name: 'Bash', input: { command: `show ${reads.name}` } };
  return {
    before: [
      { role: 'user', content: user },
      { role: 'assistant', content: [call] },
    ],
    last: [{ type: 'tool_result', tool_use_id: id, content: listing(reads.name, reads.tokens) }],
  };
}

/** The summary that the simulated model writes of this session, about 520 tokens: nine seconds for a large model. */
export const SUMMARY = `<summary>
1. What the user asked for
- "The nightly import loses orders. Start with the reader."
- A rule for everything that follows: "src/types.ts stays as it is, the mobile app reads it."
- "Write the failing test first.", then "the fix, as small as you can".
- "Don't call it parseLines anywhere, lines are not records."

2. Decisions and why
- The cause: readRows() in src/import/reader.ts cut the file at every line break before it looked at quotes. A note with a line break became two broken rows, and both were dropped.
- A new function splitRecords() walks the characters once and remembers whether it is inside quotes. A regular expression over the whole file was ruled out, because the preview passes a stream and the fix has to work on pieces.
- \\r\\n and \\n both count as one line break, also when a piece of the stream ends between the two characters.
- Two quotes in a row stand for one, also when they are cut apart.
- What the reader needs for itself (the open record, the state inside or outside of quotes) stays in the reader, so that OrderRow keeps its fields and their order for the mobile app.

3. Files
- src/import/reader.ts: readRows() now calls splitRecords(); its signature is unchanged.
- test/import/reader.test.ts: new cases, beginning with "keeps a line break inside quotes".
- src/backoffice/preview.ts and its test: get whole records from their stream.
- src/types.ts: read, not changed, must not be changed.
- logs/import-0611.log: 41 of 50,212 rows dropped, each after a row whose note was cut off inside a quoted field.

4. Errors and what solved them
- The first test failed as it should: three rows instead of two. It passes with splitRecords().
- No other errors. Before any change the suite stood at 612 passed, 3 skipped.

5. Done, and how it was checked
- The log was compared with the cause: every dropped row follows a row that ends inside quotes, 41 times out of 41.
- The suite was run before the first change, so that it is known what green looks like. Callers of the reader were searched: the nightly job and the preview in the back office, no others.

6. Open
- A line in the changelog under Fixed, and one commit for the whole change.
- Whatever of the list above the user has not yet seen run.

7. Now
- The change is being written and tested step by step, each step at the user's word. The next step is the one in the user's last message.
</summary>`;
