/** Measures and prints the frame rate of the pages with 200 conversations that change often, and of a list of 500. */
import { expect } from 'chai';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { openBrowser, openPage } from './browser.ts';
import { countFrames } from './frames.ts';

const FAKE = fileURLToPath(new URL('../../web/support/fake-proxy-process.ts', import.meta.url));
/** The median of so many samples counts, so that other load on the machine for a moment does not. */
const SAMPLES = 5;
const SAMPLE_MS = 1_500;
/** A slow page is measured again, at most so many times. */
const MAX_TRIES = 3;
/** In frames per second, of at most 60. */
const MIN_RATE = 50;

const PAGES = [
  { name: 'the list', at: '', there: '.row' },
  { name: 'one conversation', at: '#/c/', there: '.tokens-card canvas' },
  { name: 'the statistics', at: '#/statistics', there: '.history-card canvas' },
  { name: 'the log', at: '#/log', there: '.log-line' },
  { name: 'the inspector', at: '#/inspector', there: '.state' },
  { name: 'the statechart of one conversation', at: '#/inspector/conversation:', there: '.state' },
] as const;

/** Starts the fake proxy in a process of its own, so that its load does not slow the page down. */
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
      it(`renders at least ${MIN_RATE} frames a second: ${name}`, async function () {
        const { page, context } = await openPage(browser);
        const empty = await countFrames(page, SAMPLE_MS);
        await page.goto(url);
        await page.locator('.row a').first().waitFor();
        const first = (await page.locator('.row a').first().getAttribute('href')) ?? '';
        await page.goto(`${url}${at.endsWith(':') || at.endsWith('/') ? at + first.slice('#/c/'.length) : at}`);
        await page.locator(there).first().waitFor();
        let median = 0;
        for (let tries = 0; tries < MAX_TRIES && median < MIN_RATE; tries += 1) {
          const samples = [];
          for (let taken = 0; taken < SAMPLES; taken += 1) samples.push(await countFrames(page, SAMPLE_MS));
          const rates = samples.map(({ perSecond }) => perSecond).sort((a, b) => a - b);
          median = rates[Math.floor(SAMPLES / 2)] ?? 0;
          const [lowest = 0, longest] = [rates[0], Math.max(...samples.map((sample) => sample.longest))];
          process.stdout.write(
            `      ${name}: ${median.toFixed(1)} frames/s (lowest ${lowest.toFixed(1)}, longest frame ` +
              `${longest.toFixed(0)} ms); an empty page: ${empty.perSecond.toFixed(1)}\n`,
          );
        }
        await context.close();
        // A machine that renders an empty page too slowly cannot measure this one.
        if (empty.perSecond < MIN_RATE + 5) this.skip();
        expect(median).to.be.at.least(MIN_RATE);
      });
    }
  });
}
