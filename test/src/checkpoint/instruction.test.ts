import { expect } from 'chai';
import { CHECKPOINT_INSTRUCTION } from '../../../src/checkpoint/instruction.ts';
import { readCompaction } from '../../../src/wire/compaction.ts';
import { historyFrom } from '../../../src/wire/message-request.ts';

describe('the instruction of a checkpoint call', () => {
  it('asks for a summary in the tags that are looked for, and for no tool', () => {
    expect(CHECKPOINT_INSTRUCTION).to.include('<summary>').and.to.include('</summary>');
    expect(CHECKPOINT_INSTRUCTION).to.match(/do not call any tools/i);
  });

  it('asks for what someone needs to go on', () => {
    for (const wanted of [
      /user's own words/,
      /decisions/i,
      /reasons/,
      /full path/,
      /code/,
      /errors/i,
      /finished/,
      /open/,
      /current step/i,
      /next step/,
    ]) {
      expect(CHECKPOINT_INSTRUCTION).to.match(wanted);
    }
  });

  it('asks, and does not shout', () => {
    expect(CHECKPOINT_INSTRUCTION).to.match(/^Please /);
    expect(CHECKPOINT_INSTRUCTION).not.to.match(/CRITICAL|IMPORTANT|MUST|NEVER|REJECTED|!/);
  });

  it('is no instruction of the client’s own, should it ever come back in a history', () => {
    const messages = [{ role: 'user', content: CHECKPOINT_INSTRUCTION }];
    expect(readCompaction(historyFrom(messages), 'unknown')).to.equal(null);
  });

  it('is short beside a history', () => expect(CHECKPOINT_INSTRUCTION.length).to.be.below(4_000));
});
