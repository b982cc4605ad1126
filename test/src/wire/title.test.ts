import { expect } from 'chai';
import { readMessageRequest, type Message } from '../../../src/wire/message-request.ts';
import { readTitle, type ConversationTitle } from '../../../src/wire/title.ts';
import { requestBody } from '../../support/histories.ts';

const text = (value: string) => ({ type: 'text', text: value });
const reminder = (value: string) => text(`<system-reminder>\n${value}\n</system-reminder>\n`);
/** As 2.1.330 tells it. */
const ENVIRONMENT =
  '# Environment\nYou have been invoked in the following environment: \n - Primary working directory: /home/me/parser\n - Is a git repository: false';

function named(messages: readonly Message[], more: Readonly<Record<string, unknown>> = {}): ConversationTitle {
  const request = readMessageRequest(requestBody(messages, more));
  if (request === null) throw new Error('this is no message request');
  return readTitle(request);
}

describe('what people know a conversation by', () => {
  it('stands in a reminder of the first message (4.6 models)', () => {
    const messages = [{ role: 'user', content: [reminder(ENVIRONMENT), text('Fix the\n parser, please.')] }];
    expect(named(messages)).to.deep.equal({ folder: '/home/me/parser', words: 'Fix the parser, please.' });
  });

  it('stands in a system message behind it (5.5 models)', () => {
    const messages = [
      { role: 'user', content: [reminder('Attribution …'), text('Fix it.')] },
      { role: 'system', content: ENVIRONMENT },
    ];
    expect(named(messages)).to.deep.equal({ folder: '/home/me/parser', words: 'Fix it.' });
  });

  it('stands in the system prompt (older clients)', () => {
    const system = [
      text('You are Claude Code.'),
      text('<env>\nWorking directory: /srv/my project\nPlatform: linux\n</env>'),
    ];
    expect(named([{ role: 'user', content: 'Hi' }], { system })).to.deep.equal({
      folder: '/srv/my project',
      words: 'Hi',
    });
    expect(named([{ role: 'user', content: 'Hi' }], { system: 'Working directory: /a' }).folder).to.equal('/a');
  });

  it('is not what somebody says, nor what a prompt says about working directories', () => {
    const messages = [{ role: 'user', content: 'Working directory: /etc' }];
    const system = 'Consider the current working directory. Take care of it.';
    expect(named(messages, { system })).to.deep.equal({ folder: null, words: 'Working directory: /etc' });
  });

  it('are no commands, their output, and no summary of what was before', () => {
    const messages = [
      { role: 'user', content: '<command-name>/clear</command-name>\n<local-command-stdout></local-command-stdout>' },
      {
        role: 'user',
        content: 'This session is being continued from a previous conversation that ran out of context.',
      },
      { role: 'assistant', content: 'Yes.' },
      { role: 'user', content: 'Go on with the lexer.' },
    ];
    expect(named(messages).words).to.equal('Go on with the lexer.');
    expect(named([{ role: 'user', content: [reminder('x')] }])).to.deep.equal({ folder: null, words: null });
  });

  it('is short', () => {
    expect(named([{ role: 'user', content: 'word '.repeat(100) }]).words).to.match(/^word .*…$/);
  });
});
