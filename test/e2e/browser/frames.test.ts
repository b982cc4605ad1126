/** 200 conversations that change ten times a second, and 500 in a list: the pages stay smooth. Prints what was measured. */
import { expect } from 'chai';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { openBrowser, openPage } from './browser.ts';
import { countFrames } from './frames.ts';

const FAKE = fileURLToPath(new URL('../../web/support/fake-proxy-process.ts', import.meta.url));
/** Of so many stretches the middle one counts: what else the machine does for a moment is not the page's. */
const STRETCHES = 5;
const STRETCH_MS = 1_500;
/** A page that is slow is slow again: what was not smooth is measured so many times before it is said to be slow. */
const TRIES = 3;
/** What is asked, in frames a second, where the browser itself draws 60. */
const WANTED = 50;

const PAGES = [
  { name: 'the list', at: '', there: '.row' },
  { name: 'one conversation', at: '#/c/', there: '.tokens-card canvas' },
  { name: 'the statistics', at: '#/statistics', there: '.history-card canvas' },
  { name: 'the log', at: '#/log', there: '.log-line' },
  { name: 'the inspector', at: '#/inspector', there: '.state' },
  { name: 'the statechart of one conversation', at: '#/inspector/conversation:', there: '.state' },
] as const;

/** A process of its own: what the conversations cost is not the page's. */
async function startFake(conversations: number, rate: number): Promise<{ fake: ChildProcess; url: string }> {
  const fake = fork(FAKE, [String(conversations), String(rate)], { execArgv: ['--import', 'tsx'] });
  const [url] = (await once(fake, 'message')) as [string];
  return { fake, url };
}

for (const { conversations, rate, pages } of [
  { conversations: 200, rate: 10, pages: PAGES },
  { conversations: 500, rate: 4, pages: PAGES.slice(0, 1) },
]) {
  describe(`a page with ${conversations} conversations that change ${rate} times a second`, function () {
    this.timeout(90_000);
    let browser: Browser;
    let fake: ChildProcess;
    let url: string;

    before(async () => {
      browser = await openBrowser();
      ({ fake, url } = await startFake(conversations, rate));
    });

    after(async () => {
      await browser.close();
      fake.kill();
      await once(fake, 'exit');
    });

    for (const { name, at, there } of pages) {
      it(`draws at least ${WANTED} frames a second: ${name}`, async function () {
        const { page, context } = await openPage(browser);
        const empty = await countFrames(page, STRETCH_MS);
        await page.goto(url);
        await page.locator('.row a').first().waitFor();
        const first = (await page.locator('.row a').first().getAttribute('href')) ?? '';
        await page.goto(`${url}${at.endsWith(':') || at.endsWith('/') ? at + first.slice('#/c/'.length) : at}`);
        await page.locator(there).first().waitFor();
        let median = 0;
        for (let tries = 0; tries < TRIES && median < WANTED; tries += 1) {
          const stretches = [];
          for (let taken = 0; taken < STRETCHES; taken += 1) stretches.push(await countFrames(page, STRETCH_MS));
          const rates = stretches.map(({ perSecond }) => perSecond).sort((a, b) => a - b);
          median = rates[Math.floor(STRETCHES / 2)] ?? 0;
          const [least = 0, longest] = [rates[0], Math.max(...stretches.map((stretch) => stretch.longest))];
          process.stdout.write(
            `      ${name}: ${median.toFixed(1)} frames/s (${least.toFixed(1)} in the worst stretch, at most ` +
              `${longest.toFixed(0)} ms between two); an empty page: ${empty.perSecond.toFixed(1)}\n`,
          );
        }
        await context.close();
        // Where even an empty page is not drawn that often, nothing can be said of this one.
        if (empty.perSecond < WANTED + 5) this.skip();
        expect(median).to.be.at.least(WANTED);
      });
    }
  });
}
