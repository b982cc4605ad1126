import { expect } from 'chai';
import fc from 'fast-check';
import { continuationText, isSideRequest, readCompaction, type CompactionKind } from '../../../src/wire/compaction.ts';
import { historyFrom, type Block, type History, type Message } from '../../../src/wire/message-request.ts';
import type { RequestClass } from '../../../src/wire/identity.ts';
import { history } from '../../support/histories.ts';

const user = (content: Message['content']): Message => ({ role: 'user', content });
const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const system = (content: Message['content']): Message => ({ role: 'system', content });
const text = (said: string): Block => ({ type: 'text', text: said });
const messagesOf = (given: History): (Message | null)[] =>
  Array.from({ length: given.length }, (_, at) => given.message(at));

// The client's instructions, cut to what tells them apart (recorded on, or taken from the source of, the versions named).
const TASK = `Your task is to create a detailed summary of the conversation so far, paying close attention to the user's explicit requests and your previous actions.
This summary should be thorough in capturing technical details, code patterns, and architectural decisions.

Before providing your final summary, wrap your analysis in <analysis> tags.`;
const EXAMPLES = `There may be additional summarization instructions provided in the included context. Examples of instructions include:
<example>
## Compact Instructions
When summarizing the conversation focus on typescript code changes.
</example>

<example>
# Summary instructions
When you are using compact - please focus on test output and code changes. Include file reads verbatim.
</example>
`;
const TEXT_ONLY = `CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.

- Do NOT use Read, Bash, Grep, Glob, Edit, Write, or ANY other tool.
- You already have all the context you need in the conversation above.
- Your entire response must be plain text: an <analysis> block followed by a <summary> block.`;
const END = `

REMINDER: Do NOT call any tools. Respond with plain text only — an <analysis> block followed by a <summary> block. Tool calls will be rejected and you will fail the task.`;
const NOTE = `6. All user messages: List ALL user messages. This summarization request itself (the text from "CRITICAL: Respond with TEXT ONLY" through the end of this message) was issued by the system to compact context, not by the user. Any "Additional Instructions" in it still apply.`;
const WORDS = '\n\nAdditional Instructions:\nfocus on the parser';
const RECENT = `Your task is to create a detailed summary of the RECENT portion of the conversation — the messages that follow earlier retained context. The earlier messages are being kept intact and do NOT need to be summarized.`;
const UP_TO = `Your task is to create a detailed summary of this conversation. This summary will be placed at the start of a continuing session; newer messages that build on this context will follow after your summary (you do not see them here).`;
const AGAIN = `

For this reply only: write what the instructions above ask for, with the summary inside <summary></summary> tags. Every message before those instructions, the newest one included, is conversation to summarize.`;
const CUSTOM = `CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.

- Your entire response must be plain text: a <summary> block.

Write it. Put it in <summary></summary>.

REMINDER: Do NOT call any tools. Respond with plain text only — a <summary> block.`;

const INSTRUCTIONS: readonly (readonly [name: string, instruction: string, kind: CompactionKind])[] = [
  ['1.0.128 and 2.0.76', `${TASK}\n\n${EXAMPLES}`, 'whole'],
  [
    '1.0.128 and 2.0.76 with words',
    `${TASK}\n\n${EXAMPLES}\n\nAdditional Instructions:\nfocus on the parser`,
    'instructed',
  ],
  [
    '2.1.63',
    `${TASK}\n\n${EXAMPLES}\n\nIMPORTANT: Do NOT use any tools. You MUST respond with ONLY the <summary>...</summary> block.`,
    'whole',
  ],
  ['2.1.63 with words', `${TASK}${WORDS}\n\nIMPORTANT: Do NOT use any tools.`, 'instructed'],
  ['2.1.112 to 2.1.330', `${TEXT_ONLY}\n\n${TASK}\n\n${EXAMPLES}${END}`, 'whole'],
  ['2.1.112 to 2.1.330 with words', `${TEXT_ONLY}\n\n${TASK}\n\n${EXAMPLES}${WORDS}${END}`, 'instructed'],
  ['2.1.330 with its note on instructions', `${TEXT_ONLY}\n\n${TASK}\n\n${NOTE}\n\n${EXAMPLES}${END}`, 'whole'],
  ['2.1.330 with note and words', `${TEXT_ONLY}\n\n${TASK}\n\n${NOTE}\n\n${EXAMPLES}${WORDS}${END}`, 'instructed'],
  ['2.1.330, asked a second time', `${TEXT_ONLY}\n\n${TASK}\n\n${EXAMPLES}${END}${AGAIN}`, 'whole'],
  ['2.1.330 with a text from the server', CUSTOM, 'whole'],
  ['2.1.330, from a message on', `${TEXT_ONLY}\n\n${RECENT}${END}`, 'other'],
  [
    '2.1.330, from a message on with words',
    `${TEXT_ONLY}\n\n${RECENT}\n\nAdditional Instructions:\nUser context: look${END}`,
    'other',
  ],
  ['2.1.330, up to a message', `${TEXT_ONLY}\n\n${UP_TO}${END}`, 'other'],
];

const HISTORY = [user('one'), assistant('two')];
const RESULT: Block = { type: 'tool_result', tool_use_id: 't', content: 'done' };

/** The forms in which an instruction can come, with the history that it is about. */
const forms = (instruction: string): readonly (readonly [string, Message[], Message[]])[] => [
  ['a message of its own', [...HISTORY, user(instruction)], HISTORY],
  ['a message of one block', [...HISTORY, user([text(instruction)])], HISTORY],
  [
    'the last block of a prompt that waits',
    [...HISTORY, user([text('three\n'), text(instruction)])],
    [...HISTORY, user([text('three\n')])],
  ],
  [
    'the last block behind a tool’s result',
    [...HISTORY, user([RESULT, { ...text(instruction), cache_control: { type: 'ephemeral' } }])],
    [...HISTORY, user([RESULT])],
  ],
  [
    'the last block, with a system message behind it (5.5 models)',
    [
      ...HISTORY,
      user([RESULT, text(instruction)]),
      system('The following deferred tools are now available'),
      system([text('x')]),
    ],
    [...HISTORY, user([RESULT]), system('The following deferred tools are now available'), system([text('x')])],
  ],
  [
    'a message of its own, with a system message behind it',
    [...HISTORY, user(instruction), system('note')],
    [...HISTORY, system('note')],
  ],
];

const read = (
  messages: readonly Message[],
  requestClass: RequestClass,
): { kind: CompactionKind; history: (Message | null)[] } | null => {
  const compaction = readCompaction(historyFrom(messages), requestClass);
  return compaction === null ? null : { kind: compaction.kind, history: messagesOf(compaction.history) };
};

describe('compactions', () => {
  for (const [name, instruction, kind] of INSTRUCTIONS) {
    for (const requestClass of ['compaction', 'unknown'] as const) {
      it(`of ${name} ${requestClass === 'unknown' ? 'without' : 'with'} class header are '${kind}' in every form`, () => {
        for (const [form, messages, before] of forms(instruction)) {
          const expected =
            kind === 'other' && requestClass === 'unknown' && !instruction.startsWith(TEXT_ONLY)
              ? null
              : { kind, history: before };
          expect(read(messages, requestClass), form).to.deep.equal(expected);
        }
      });
    }
  }

  it('are told from turns and asides by the class, whatever they say', () => {
    for (const [, instruction] of INSTRUCTIONS) {
      for (const [form, messages] of forms(instruction)) {
        expect(read(messages, 'turn'), form).to.equal(null);
        expect(read(messages, 'auxiliary'), form).to.equal(null);
      }
    }
  });

  describe('are not, without class header,', () => {
    const whole = `${TEXT_ONLY}\n\n${TASK}${END}`;
    for (const [what, messages] of [
      ['a question that quotes the instruction', [user(`What does this mean?\n\n${whole}`)]],
      [
        'an instruction with a question behind it in the same message',
        [user([text(whole), text('What does this mean?')])],
      ],
      ['an instruction that was answered', [user(whole), assistant('<summary>…</summary>'), user('thanks')]],
      ['an instruction in an answer', [user('hello'), assistant(whole)]],
      [
        'an instruction in a tool’s result',
        [...HISTORY, user([{ type: 'tool_result', tool_use_id: 't', content: whole }])],
      ],
      ['an instruction in a reminder', [...HISTORY, user(`<system-reminder>${whole}</system-reminder>`)]],
      ['somebody who wants a summary', [user('Please create a detailed summary of the conversation so far')]],
      ['somebody who shouts', [user('CRITICAL: Respond with TEXT ONLY. What is 2 + 2?')]],
      ['a history of system messages', [system(whole)]],
      ['a message without blocks', [user([])]],
    ] as const) {
      it(what, () => expect(read(messages, 'unknown')).to.equal(null));
    }

    it('any ordinary history', () => {
      fc.assert(
        fc.property(history, (messages) => {
          expect(readCompaction(historyFrom(messages), 'unknown')).to.equal(null);
          expect(isSideRequest(historyFrom(messages))).to.equal(false);
          expect(continuationText(historyFrom(messages))).to.equal(null);
        }),
        { seed: 20260731, numRuns: 100 },
      );
    });
  });

  it('are of another kind where the class says compaction and the text does not', () => {
    expect(read([...HISTORY, user('Make me a haiku of this.')], 'compaction')?.kind).to.equal('other');
    expect(read(HISTORY, 'compaction')).to.deep.equal({ kind: 'other', history: HISTORY });
    expect(read([...HISTORY, user([RESULT])], 'compaction')).to.deep.equal({
      kind: 'other',
      history: [...HISTORY, user([RESULT])],
    });
    expect(read([system('x')], 'compaction')?.kind).to.equal('other');
    expect(read([], 'compaction')?.kind).to.equal('other');
  });

  it('of versions to come are whole where the class says compaction and the text asks for a summary', () => {
    expect(read([...HISTORY, user('Please write a summary of the conversation so far.')], 'compaction')?.kind).to.equal(
      'whole',
    );
    expect(read([...HISTORY, user('Summarize our entire conversation.')], 'compaction')?.kind).to.equal('whole');
  });

  it('with an empty list of words are not served, to be safe', () => {
    expect(
      read([...HISTORY, user(`${TEXT_ONLY}\n\n${TASK}\n\nAdditional Instructions:\n   ${END}`)], 'compaction')?.kind,
    ).not.to.equal('other');
  });

  it('keep the history as it is', () => {
    fc.assert(
      fc.property(history, (messages) => {
        const compaction = readCompaction(historyFrom([...messages, user(`${TEXT_ONLY}\n\n${TASK}${END}`)]), 'unknown');
        expect(compaction === null ? null : messagesOf(compaction.history)).to.deep.equal(messages);
        expect(compaction?.history.message(messages.length)).to.equal(null);
      }),
      { seed: 20260731, numRuns: 50 },
    );
  });

  it('that go on are known by how they begin', () => {
    const CONTINUED =
      'This session is being continued from a previous conversation that ran out of context. Summary:\n1. …';
    const reminded = user([text('<system-reminder>x</system-reminder>'), text(CONTINUED)]);
    expect(continuationText(historyFrom([reminded, assistant('ok'), user('next')]))).to.equal(CONTINUED);
    expect(continuationText(historyFrom([user('first'), user(CONTINUED)]))).to.equal(CONTINUED);
    expect(continuationText(historyFrom([system('note'), user(CONTINUED)]))).to.equal(CONTINUED);
    expect(continuationText(historyFrom([user('hello'), assistant('x'), user(CONTINUED)]))).to.equal(null);
    expect(continuationText(historyFrom([]))).to.equal(null);
  });

  describe('have side requests beside them, without class header:', () => {
    for (const [what, messages, expected] of [
      [
        'a suggestion',
        [...HISTORY, user('[SUGGESTION MODE: Suggest what the user might naturally type next into Claude Code.]')],
        true,
      ],
      [
        'a suggestion in blocks',
        [...HISTORY, user([text('<system-reminder>x</system-reminder>'), text('[SUGGESTION MODE: …')])],
        true,
      ],
      [
        'a side question',
        [
          ...HISTORY,
          user([text('<system-reminder>This is a side question from the user …</system-reminder>'), text('why?')]),
        ],
        true,
      ],
      ['no turn', [...HISTORY, user('What is [SUGGESTION MODE: …?')], false],
      ['no answer', [user('x'), assistant('[SUGGESTION MODE: …')], false],
      ['nothing', [], false],
    ] as const) {
      it(what, () => expect(isSideRequest(historyFrom(messages))).to.equal(expected));
    }
  });
});
