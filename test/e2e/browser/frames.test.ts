/** 200 conversations that change ten times a second: the page stays smooth. Prints what was measured. */
import { expect } from 'chai';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { openBrowser, visit } from './browser.ts';
import { countFrames } from './frames.ts';

const FAKE = fileURLToPath(new URL('../../web/support/fake-child.ts', import.meta.url));
const MEASURED_MS = 5_000;
/** What is asked of the list, where the browser itself draws 60. */
const WANTED = 50;
/**
 * … and of the other pages, which the fake proxy tells far more than a real one would: all of a conversation ten times a
 * second, thousands of events. They must not stand still.
 */
const WANTED_ELSEWHERE = 15;

describe('a page with 200 conversations that change ten times a second', function () {
  this.timeout(90_000);
  let browser: Browser;
  let fake: ChildProcess;
  let url: string;

  before(async () => {
    browser = await openBrowser();
    // A process of its own: what the conversations cost is not the page's.
    fake = fork(FAKE, ['200', '10'], { execArgv: ['--import', 'tsx'] });
    const [address] = (await once(fake, 'message')) as [string];
    url = address;
  });

  after(async () => {
    await browser.close();
    fake.kill();
    await once(fake, 'exit');
  });

  for (const [name, at, there, wanted] of [
    ['the list', '', '.row', WANTED],
    ['one conversation', '#/c/', '.tokens-card canvas', WANTED_ELSEWHERE],
    ['the log', '#/log', '.log-line', WANTED_ELSEWHERE],
    ['the inspector', '#/inspector', '.state', WANTED_ELSEWHERE],
  ] as const) {
    it(`draws at least ${wanted} frames a second: ${name}`, async function () {
      const { page, context } = await visit(browser);
      const empty = await countFrames(page, 1_500);
      await page.goto(url);
      await page.locator('.row a').first().waitFor();
      const first = (await page.locator('.row a').first().getAttribute('href')) ?? '';
      await page.goto(`${url}${at === '#/c/' ? first : at}`);
      await page.locator(there).first().waitFor();
      const { perSecond, longest } = await countFrames(page, MEASURED_MS);
      process.stdout.write(
        `      ${name}: ${perSecond.toFixed(1)} frames/s, at most ${longest.toFixed(0)} ms between two; an empty page: ${empty.perSecond.toFixed(1)}\n`,
      );
      await context.close();
      // Where even an empty page is not drawn that often, nothing can be said of this one.
      if (empty.perSecond < WANTED + 5) this.skip();
      expect(perSecond).to.be.at.least(wanted);
    });
  }
});
