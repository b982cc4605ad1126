import { expect } from 'chai';
import fc from 'fast-check';
import {
  commandBefore,
  SettingsFault,
  withoutStatusLine,
  withStatusLine,
} from '../../../cli/status-line/settings-text.ts';

const OURS = '/home/ann/.local/bin/claude-db-proxy statusline';

describe('the status line in settings.json', () => {
  it('is put into settings that have none, and leaves no trace when taken out', () => {
    for (const text of ['{}', '{}\n', '{\n  "model": "opus"\n}\n', '{\r\n\t"model": "opus"\r\n}', '{"a":[1, 2]}']) {
      const added = withStatusLine(text, OURS);
      expect(JSON.parse(added), text).to.deep.equal({
        ...(JSON.parse(text) as object),
        statusLine: { type: 'command', command: OURS },
      });
      expect(JSON.parse(withoutStatusLine(added, null)), text).to.deep.equal(JSON.parse(text));
    }
  });

  it('makes settings out of an empty file', () => {
    expect(JSON.parse(withStatusLine('', OURS))).to.deep.equal({ statusLine: { type: 'command', command: OURS } });
  });

  it('takes the place of the command that is there, and gives it back byte for byte', () => {
    const text =
      '{\n    "statusLine": {"command":"~/line.sh --a \\"b\\"",   "type": "command", "padding": 0},\n    "x": 1\n}\n';
    expect(commandBefore(text)).to.equal('~/line.sh --a "b"');
    const added = withStatusLine(text, OURS);
    expect(JSON.parse(added)).to.deep.equal({
      statusLine: { command: OURS, type: 'command', padding: 0 },
      x: 1,
    });
    expect(withoutStatusLine(added, '~/line.sh --a "b"')).to.equal(text);
  });

  it('is put in once', () => {
    const once = withStatusLine('{\n  "a": 1\n}\n', OURS);
    expect(withStatusLine(once, OURS)).to.equal(once);
    expect(commandBefore(once)).to.equal(null);
    expect(commandBefore(withStatusLine('{}', "'/home/ann b/claude-db-proxy' statusline"))).to.equal(null);
  });

  it('leaves what was changed since alone', () => {
    const text = '{"statusLine": {"type": "command", "command": "theirs"}}';
    expect(withoutStatusLine(text, 'older')).to.equal(text);
    expect(withoutStatusLine('{"a": 1}', null)).to.equal('{"a": 1}');
  });

  for (const [what, text] of [
    ['broken JSON', '{"a": 1,'],
    ['comments', '{ // mine\n}'],
    ['a list', '[]'],
    ['a status line of another shape', '{"statusLine": "echo"}'],
    ['a status line of another type', '{"statusLine": {"type": "static", "command": "x"}}'],
  ] as const) {
    it(`refuses ${what}`, () => expect(() => withStatusLine(text, OURS)).to.throw(SettingsFault));
  }

  it('changes nothing else, whatever the settings are', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 1, 2, 4, '\t'), (settings, indent) => {
        const others = Object.fromEntries(Object.entries(settings).filter(([key]) => key !== 'statusLine'));
        const text = JSON.stringify(others, null, indent);
        const added = withStatusLine(text, OURS);
        expect(JSON.parse(added)).to.deep.equal(
          JSON.parse(JSON.stringify({ ...others, statusLine: { type: 'command', command: OURS } })),
        );
        expect(JSON.parse(withoutStatusLine(added, null))).to.deep.equal(JSON.parse(text));
      }),
    );
  });
});
