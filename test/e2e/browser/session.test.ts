/** A whole demo session in the dashboard: real proxy, real Chromium, simulated API. */
import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { AFTER_COMPACTION, BEFORE_COMPACTION, DURING_CHECKPOINT, OPENING } from '../../../src/demo/session.ts';
import type { Recording } from '../../../web/contract.ts';
import { axeViolations } from './axe.ts';
import { externalUrls, openBrowser, openPage, type OpenedPage } from './browser.ts';
import { serveBuilt } from '../../web/support/static-server.ts';
import { openBrowserHarness, type BrowserHarness } from './browser-harness.ts';

/** Records every phase that the first row shows, however briefly. A string for the reason given in frames.ts. */
const WATCH_PHASES = `(() => {
  const phases = (globalThis.observedPhases = []);
  const observe = () => {
    const phase = document.querySelector('.row .phase')?.textContent?.trim();
    if (phase && phase !== phases.at(-1)) phases.push(phase);
  };
  new MutationObserver(observe).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  observe();
})()`;

describe('a demo session in a real browser', function () {
  // Each test continues where the one before it ended.
  this.bail(true);
  let harness: BrowserHarness;
  let browser: Browser;
  let list: OpenedPage;
  let inside: OpenedPage;
  const directory = mkdtempSync(join(tmpdir(), 'dbproxy-recordings-'));
  const recording = join(directory, 'recording.json');

  before(async function () {
    this.timeout(120_000);
    [harness, browser] = await Promise.all([openBrowserHarness(), openBrowser()]);
    list = await openPage(browser);
    inside = await openPage(browser, { theme: 'dark' });
  });

  after(async () => {
    await browser.close();
    await harness.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const phase = (page: Page, name: string) => page.locator('.conversation-header .phase', { hasText: name });
  const activeState = (page: Page, state: string) => page.locator(`.state.active[data-state$="${state}"]`);

  it('opens with the token, removes it from the URL, and shows how to start a client', async () => {
    const { page } = list;
    await page.goto(harness.tokenUrl);
    await page.getByText('No conversations yet. Start Claude Code through the proxy').waitFor();
    expect(page.url()).to.equal(harness.dashboard);
    expect(await page.locator('.command code').textContent())
      .to.include(`HTTPS_PROXY=http://127.0.0.1:${harness.environment.proxy.ports.proxy}`)
      .and.include(harness.environment.proxy.caPath);
    expect(await axeViolations(page)).to.deep.equal([]);
  });

  it('shows a conversation with its first request', async () => {
    const { page } = list;
    await page.evaluate(WATCH_PHASES);
    const [first, ...more] = OPENING;
    if (first === undefined) throw new Error('the demo has no opening');
    await harness.turn(first);
    await page.locator('.row', { hasText: 'The nightly import loses orders' }).waitFor();
    for (const turn of more.slice(0, -1)) await harness.turn(turn);
    await page.locator('.row [role=meter][aria-valuetext*="180,000"]').waitFor();
  });

  it('highlights the active states while the checkpoint is computed', async () => {
    const { page } = inside;
    await page.goto(harness.tokenUrl);
    await page.locator('.row a').first().click();
    await page.getByRole('link', { name: 'Inspect', exact: true }).click();
    await activeState(page, 'call.idle').waitFor();
    await activeState(page, 'buffer.empty').waitFor();
    const last = OPENING.at(-1);
    if (last !== undefined) await harness.turn(last);
    await activeState(page, 'call.running').waitFor();
    await page.locator('.transition.taken').first().waitFor({ state: 'attached' });
    await page.locator('.actor-row', { hasText: 'computeCheckpoint' }).waitFor();
    for (const name of ['supervisor', 'forwarder', 'redirector', 'store', 'dashboard', 'breaker']) {
      await page.getByPlaceholder(/^Search \d+ actors?/).fill(name);
      await page.locator('.actor-row', { hasText: name }).first().waitFor();
    }
    await page.getByPlaceholder(/^Search \d+ actors?/).fill('');
    await activeState(page, 'ready.wal').waitFor();
    await page.locator('.record-row', { hasText: 'xstate.done.actor' }).first().waitFor();
  });

  it('opens the conversation: summary, messages, chart', async () => {
    const { page } = list;
    await page.locator('.row a').first().click();
    await phase(page, 'WAL active').waitFor();
    expect(page.url()).to.match(/#\/c\/.+/);
    await page.getByRole('region', { name: 'Summary' }).getByText('A new function splitRecords() walks').waitFor();
    await page.getByText('Messages appear with the next request').waitFor();
    for (const turn of DURING_CHECKPOINT.slice(0, 3)) await harness.turn(turn);
    await page.locator('.write-ahead .message').first().waitFor();
    expect(await page.locator('.boundary').textContent()).to.match(/messages above are summarized · write-ahead/);
    await page.getByRole('img', { name: /^Tokens in use after \d+ answers.*checkpoint ready/ }).waitFor();
    expect(await page.locator('.lifecycle [aria-current=step]').textContent()).to.include('WAL active');
  });

  it('shows the swap and the time it saved', async () => {
    const { page } = list;
    for (const turn of [...DURING_CHECKPOINT.slice(3), BEFORE_COMPACTION]) await harness.turn(turn);
    await phase(page, 'Swap ready').waitFor();
    const reply = await harness.environment.client.compact();
    expect(reply.headers['x-double-buffer-served']).to.equal('checkpoint');
    for (const turn of AFTER_COMPACTION) await harness.turn(turn);
    await phase(page, 'Idle').waitFor();
    await page.getByText('Claude Code accepted it and continued from it.').waitFor();
    await page.locator('.time-saved', { hasText: /\d m?s saved/ }).waitFor();
    const phases = await page.evaluate('globalThis.observedPhases');
    expect(phases).to.deep.equal(['Idle', 'Checkpointing', 'WAL active', 'Swap ready', 'Idle']);
  });

  it('steps back through the events and shows the statechart at each of them', async () => {
    const { page } = inside;
    await activeState(page, 'buffer.empty').waitFor();
    await page.getByRole('checkbox', { name: 'this actor' }).check();
    const row = page.locator('.record-row', { hasText: /ready\.wal.*→.*ready\.swapReady/ });
    await page.getByPlaceholder('Search events').fill('swapready');
    await page.getByRole('button', { name: 'Go to start' }).click();
    await row.first().locator('button').click();
    await activeState(page, 'ready.swapReady').waitFor();
    expect(await activeState(page, 'buffer.empty').count()).to.equal(0);
    await page.getByPlaceholder('Search events').fill('');
    await page.getByRole('button', { name: 'Previous event' }).click();
    await activeState(page, 'ready.wal').waitFor();
    await page.getByRole('button', { name: 'Follow' }).click();
    await activeState(page, 'buffer.empty').waitFor();
  });

  it('exports a recording that opens in another browser without a proxy', async () => {
    const { page } = inside;
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Export' }).click(),
    ]);
    await download.saveAs(recording);
    const exported = JSON.parse(readFileSync(recording, 'utf8')) as Recording;
    expect(exported.records).to.have.length.above(30);
    // A bug report must contain neither messages nor credentials.
    expect(readFileSync(recording, 'utf8')).to.not.match(/splitRecords|nightly import|sk-ant/);

    const built = await serveBuilt();
    const other = await openPage(browser);
    try {
      await other.page.goto(`${built.url}#/inspector`);
      await other.page.getByText('No proxy and no recording').waitFor();
      await other.page.getByLabel('Recording', { exact: true }).setInputFiles(recording);
      await other.page.locator('.recording-name', { hasText: 'recording.json' }).waitFor();
      await other.page
        .locator('.actor-row', { hasText: 'conversation' })
        .or(other.page.locator('.actor-row'))
        .nth(2)
        .waitFor();
      await other.page.locator('.record-row', { hasText: 'history.replaced' }).first().locator('button').click();
      await activeState(other.page, 'buffer.empty').waitFor();
      expect(externalUrls(other.requestedUrls)).to.deep.equal([]);
    } finally {
      await other.context.close();
      await built.close();
    }
  });

  it('rejects a file that is no recording, with a reason', async () => {
    const { page } = inside;
    const file = { name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"format":"har"}') };
    await page.getByLabel('Recording', { exact: true }).setInputFiles(file);
    await page.getByRole('alert').getByText('not a recording of claude-db-proxy').waitFor();
  });

  it('resets a conversation after confirmation', async function () {
    this.timeout(120_000);
    const { page } = list;
    const client = harness.client();
    await client.say(`Read this. ${'word '.repeat(105_000)}`);
    await page.goto(`${harness.dashboard}#/`);
    await page.locator('.row', { hasText: 'Read this.' }).locator('a').click();
    await phase(page, 'WAL active').waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Reset' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText(/^The checkpoint .* is deleted\./).waitFor();
    expect(await axeViolations(page)).to.deep.equal([]);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await phase(page, 'WAL active').waitFor();
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Reset' }).click();
    await phase(page, 'Idle').waitFor();
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('None yet. One is computed when the context is').waitFor();
  });

  for (const theme of ['light', 'dark'] as const) {
    for (const width of [1440, 360]) {
      it(`has no violations for axe: ${theme}, ${width} px`, async () => {
        const { page, context, errors, requestedUrls } = await openPage(browser, { theme, width });
        try {
          await page.goto(harness.tokenUrl);
          await page.locator('.row a').first().waitFor();
          const hash = await page.locator('.row a').last().getAttribute('href');
          for (const at of ['#/', hash ?? '', '#/statistics', '#/log', '#/inspector']) {
            await page.goto(`${harness.dashboard}${at}`);
            const selector = { '#/': '.row', '#/statistics': '.tile', '#/log': '.log-line', '#/inspector': '.state' }[
              at
            ];
            await page
              .locator(selector ?? '.conversation .card')
              .first()
              .waitFor();
            expect(await axeViolations(page), at).to.deep.equal([]);
            expect(
              await page.evaluate('document.documentElement.scrollWidth - innerWidth'),
              `${at} overflows`,
            ).to.equal(0);
          }
          expect(errors).to.deep.equal([]);
          expect(externalUrls(requestedUrls)).to.deep.equal([]);
        } finally {
          await context.close();
        }
      });
    }
  }

  it('survives a restart of the proxy', async function () {
    this.timeout(120_000);
    const { page, errors } = list;
    await page.goto(`${harness.dashboard}#/`);
    await page.locator('.row').first().waitFor();
    expect([...errors, ...inside.errors]).to.deep.equal([]);
    await harness.stop();
    await page.getByText('Connection lost.').waitFor();
    await page.getByText(/Reconnecting since \d\d:\d\d:\d\d/).waitFor();
    expect(await page.locator('[data-stale]').count()).to.equal(1);
    expect(await axeViolations(page)).to.deep.equal([]);
    await harness.start();
    await page.getByText('The proxy was restarted').waitFor();
    expect(await page.locator('[data-stale]').count()).to.equal(0);
    await harness.client().say('Here I am again.');
    await page.locator('.row', { hasText: 'Here I am again.' }).waitFor();
  });

  it('requests nothing from other machines', () => {
    expect(list.requestedUrls.length).to.be.above(5);
    expect(list.requestedUrls.some((url) => url.startsWith('wss://localhost'))).to.equal(true);
    expect(externalUrls([...list.requestedUrls, ...inside.requestedUrls])).to.deep.equal([]);
  });
});
