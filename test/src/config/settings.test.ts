import { expect } from 'chai';
import { documents } from '../../../docs/list-settings.ts';
import { SETTINGS } from '../../../src/config/settings.ts';

describe('the table of settings', () => {
  for (const { file, text, expected } of documents()) {
    it(`is listed in ${file} as \`npm run settings\` writes it`, () => {
      for (const { name, container } of Object.values(SETTINGS)) {
        if (container || file === 'README.md') expect(expected).to.include(name);
      }
      expect(text).to.equal(expected);
    });
  }

  for (const { name, default: value, parse } of Object.values(SETTINGS)) {
    it(`has a default for ${name} that can be used`, () => expect(parse(value, '/home')).not.to.equal(undefined));
  }
});
