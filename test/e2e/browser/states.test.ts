/** Rare states of the pages, with a fake proxy: banners, many conversations, keyboard, clipboard, dropped files. */
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import type { Recording } from '../../../web/contract.ts';
import { startFakeProxy, type FakeOptions, type FakeProxy } from '../../web/support/fake-proxy.ts';
import { axeViolations } from './axe.ts';
import { externalUrls, openBrowser, openPage, type OpenedPage } from './browser.ts';

/** A recording of one actor with one transition. */
const RECORDING: Recording = {
  format: 'claude-db-proxy/recording',
  version: 1,
  proxy: { version: '9.9.9' },
  exported: Date.UTC(2026, 5, 12, 14),
  machines: {
    lamp: {
      id: 'lamp',
      nodes: ['lamp', 'lamp.off', 'lamp.on'].map((id) => ({
        ...{ id, key: id.split('.').at(-1) ?? id, parent: id === 'lamp' ? null : 'lamp' },
        ...{ type: id === 'lamp' ? 'compound' : 'atomic', initial: id === 'lamp' ? 'lamp.off' : null },
        ...{ description: null, entry: [], exit: [], invokes: [], delays: id === 'lamp.on' ? ['burnOut'] : [] },
      })),
      edges: [
        ...[{ id: 'e1', source: 'lamp.off', target: 'lamp.on', label: 'switched', event: 'switched', kind: 'event' }],
        ...[{ id: 'e2', source: 'lamp.on', target: 'lamp.off', label: 'after burnOut', event: 'x', kind: 'after' }],
      ].map((edge) => ({ ...edge, guard: 'hasPower', actions: [], moves: true })) as never,
    },
  },
  actors: [
    ...[{ session: 'x:1', id: 'lamp', parent: null, machine: 'lamp', kind: 'machine', status: 'active' }].map(
      (actor) => ({ ...actor, states: ['lamp', 'lamp.off'] }) as Recording['actors'][number],
    ),
  ],
  records: [
    {
      ...{ kind: 'event', seq: 1, at: Date.UTC(2026, 5, 12, 13), sender: null, receiver: 'x:1', type: 'switched' },
      ...{ payload: { used: 7 }, before: ['lamp', 'lamp.off'], after: ['lamp', 'lamp.on'], edges: ['e1'], context: {} },
    },
  ],
};

describe('the pages in rare states', () => {
  let browser: Browser;
  const cleanups: (() => Promise<void>)[] = [];

  before(async () => {
    browser = await openBrowser();
  });
  afterEach(async () => {
    for (const end of cleanups.splice(0).reverse()) await end();
  });
  after(() => browser.close());

  const start = async (options: Partial<FakeOptions> = {}): Promise<FakeProxy> => {
    const fake = await startFakeProxy({ conversations: 12, rate: 0.5, ...options });
    cleanups.push(() => fake.close());
    return fake;
  };
  const open = async (url: string, options: Parameters<typeof openPage>[1] = {}): Promise<OpenedPage> => {
    const opened = await openPage(browser, options);
    cleanups.push(() => opened.context.close());
    await opened.page.goto(url);
    return opened;
  };
  /** Playwright's `waitForFunction` compiles its expression in the page, which the content security policy forbids. */
  const waitUntil = async (page: Page, expression: string): Promise<void> => {
    const deadline = Date.now() + 15_000;
    while ((await page.evaluate(expression)) !== true) {
      if (Date.now() > deadline) throw new Error(`timed out waiting for: ${expression}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const focused = (page: Page): Promise<string> => page.evaluate('document.activeElement?.dataset.row ?? ""');

  for (const theme of ['light', 'dark'] as const) {
    it(`show on every page that passthrough is on: ${theme}`, async () => {
      const fake = await start({ passthrough: true });
      const { page, requestedUrls } = await open(fake.url, { theme });
      for (const at of ['#/', '#/statistics', '#/log', '#/inspector']) {
        await page.goto(`${fake.url}${at}`);
        await page.locator('.banner', { hasText: 'Passthrough is on.' }).waitFor();
      }
      await page.goto(fake.url);
      await page.locator('.row').first().waitFor();
      expect(await axeViolations(page)).to.deep.equal([]);
      expect(externalUrls(requestedUrls)).to.deep.equal([]);
    });

    it(`show that checkpoints are paused, and until when: ${theme}`, async () => {
      const fake = await start({ pausedFor: 90_000 });
      const { page } = await open(fake.url, { theme });
      const banner = page.locator('.banner', { hasText: 'Checkpoints are paused.' });
      await banner.getByText(/Next attempt in 1 min \d+ s/).waitFor();
      expect(await axeViolations(page)).to.deep.equal([]);
    });

    it(`show why checkpoints fail, and when the next attempt is: ${theme}`, async function () {
      this.timeout(90_000);
      const fake = await start({ rate: 4, failing: (number) => number === 1, checkpointMs: 300 });
      const { page } = await open(fake.url, { theme });
      const row = page.locator('.row', { has: page.locator('.failing-badge') });
      await row.waitFor({ timeout: 40_000 });
      await page.locator('.banner', { hasText: 'Checkpoints are failing' }).getByText(/529/).waitFor();
      await row.locator('a').click();
      const notice = page.locator('.notice', { hasText: 'The last checkpoint call failed.' });
      await notice.getByText(/Next attempt (in \d+ s|now)/).waitFor();
      expect(await axeViolations(page)).to.deep.equal([]);
    });
  }

  it('find one of 500 conversations, and render only the visible ones', async () => {
    const fake = await start({ conversations: 500, rate: 0.2 });
    const { page, errors } = await open(fake.url);
    await page.getByText('500 conversations').waitFor();
    expect(await page.locator('.row').count()).to.be.below(60);
    await page.keyboard.press('/');
    await page.keyboard.type('billing haiku');
    await page.getByText(/^\d+ of 500 conversations/).waitFor();
    // A conversation's model is known after its first turn, so the matches appear one after another.
    await page.locator('.row-name strong').nth(3).waitFor();
    const names = await page.locator('.row-name strong').allTextContents();
    expect(names.length).to.be.above(3);
    expect(new Set(names)).to.deep.equal(new Set(['billing']));
    await page.getByRole('searchbox').fill('-499');
    await page.getByText('1 of 500 conversations').waitFor();
    await page.getByRole('searchbox').fill('there is none such');
    await page.getByText('No conversation matches').waitFor();
    await page.getByRole('button', { name: 'Show all' }).click();
    await page.getByText('500 conversations').waitFor();
    await page.evaluate("document.querySelector('.virtual-list').scrollTop = 1e9");
    await page.locator('.row[aria-posinset="500"]').waitFor();
    expect(errors).to.deep.equal([]);
  });

  it('can be navigated by the keyboard, and keep the order of the list meanwhile', async () => {
    const fake = await start({ conversations: 60, rate: 2 });
    const { page } = await open(fake.url);
    // A pending update of the order may still move the first focused row; none does while the order is paused.
    await page.locator('.row a').first().focus();
    await page.getByText('order paused').waitFor();
    await page.locator('.row a').first().focus();
    for (const [key, row] of [
      ['ArrowDown', '1'],
      ['j', '2'],
      ['ArrowUp', '1'],
      ['End', '59'],
      ['Home', '0'],
      ['k', '0'],
      ['ArrowDown', '1'],
    ] as const) {
      await page.keyboard.press(key);
      await waitUntil(page, `document.activeElement?.dataset.row === ${JSON.stringify(row)}`);
    }
    const href = await page.evaluate('document.activeElement.getAttribute("href")');
    await page.getByText('order paused').waitFor();
    // Waits for changes over a time in which an unpaused list is sorted at least twice.
    await page.evaluate(`(() => {
      globalThis.changes = 0;
      const messages = document.activeElement.querySelector('.row-messages');
      const options = { subtree: true, characterData: true, childList: true };
      new MutationObserver(() => (globalThis.changes += 1)).observe(messages, options);
    })()`);
    await waitUntil(page, 'globalThis.changes >= 4');
    expect(await page.evaluate('document.activeElement.getAttribute("href")')).to.equal(href);
    expect(await focused(page)).to.equal('1');
    await page.keyboard.press('Enter');
    await page.locator('.conversation .conversation-header').waitFor();
    expect(page.url()).to.include(String(href));
    // The focus stays in the list, so that the next arrow key continues from there.
    await waitUntil(page, 'document.activeElement?.closest(".virtual-list") !== null');
    await page.keyboard.press('ArrowDown');
    await waitUntil(page, 'document.activeElement?.dataset.row === "2"');
  });

  it('let the keyboard skip to the content and reach every page', async () => {
    const fake = await start();
    const { page } = await open(fake.url);
    await page.locator('.row').first().waitFor();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).to.equal('Skip to content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.tagName')).to.equal('MAIN');
    for (const name of ['Statistics', 'Log', 'Inspector']) {
      await page.getByRole('link', { name, exact: true }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name, level: 1 }).waitFor();
    }
  });

  it('copy the summary as it was written', async function () {
    this.timeout(90_000);
    const until: FakeOptions['until'] = ({ covered }) => covered !== null;
    const fake = await start({ conversations: 1, rate: 4, checkpointMs: 200, until });
    const { page, context } = await open(fake.url);
    await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: new URL(fake.url).origin });
    await page.locator('.row a').first().click();
    const button = page.getByRole('button', { name: 'Copy the summary' });
    await button.waitFor({ timeout: 40_000 });
    await button.click();
    await waitUntil(page, 'navigator.clipboard.readText().then((text) => text.startsWith("## 1. What was asked"))');
    expect(await page.evaluate('navigator.clipboard.readText()')).to.include('```ts\nexport function* splitRecords');
  });

  it('show no animation with reduced motion', async () => {
    const fake = await start();
    const { page } = await open('about:blank');
    const runningAnimations = async (): Promise<number> => {
      await page.goto(fake.url);
      await page.locator('.row').first().waitFor();
      fake.running = false;
      return page.evaluate(`(() => {
        const dot = document.querySelector('.connection-status i');
        dot.parentElement.className = 'connection-status warn';
        return document.getAnimations().length;
      })()`);
    };
    expect(await runningAnimations()).to.be.above(0);
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await page.goto('about:blank');
    expect(await runningAnimations()).to.equal(0);
  });

  it('show a dropped recording while a proxy runs, and return to the live system', async () => {
    const fake = await start();
    const { page, errors } = await open(`${fake.url}#/inspector`);
    await page.locator('.state').first().waitFor();
    const drop = (text: string): Promise<void> =>
      page.evaluate(`(() => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([${JSON.stringify(text)}], 'bug.json', { type: 'application/json' }));
        for (const type of ['dragover', 'drop'])
          document.body.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer }));
      })()`);
    await drop('{"format":"har"}');
    await page.getByRole('alert').getByText('not a recording').waitFor();
    await drop(JSON.stringify(RECORDING));
    await page.locator('.recording-name', { hasText: 'bug.json' }).waitFor();
    expect(await page.locator('[role=alert]').count()).to.equal(0);
    await page.locator('.state.active[data-state="lamp.on"]').waitFor();
    expect(await page.locator('.statechart').textContent())
      .to.include('after burnOut')
      .and.include('[hasPower]');
    await page.getByRole('button', { name: 'Previous event' }).click();
    await page.locator('.state.active[data-state="lamp.off"]').waitFor();
    await page.getByRole('button', { name: 'Close recording' }).click();
    await page.locator('.state.active[data-state="supervisor.running"]').waitFor();
    expect(errors).to.deep.equal([]);
  });

  it('pause the list of events in the inspector, and follow again', async () => {
    const fake = await start({ rate: 4 });
    const { page } = await open(fake.url);
    const first = await page.locator('.row a').first().getAttribute('href');
    await page.goto(`${fake.url}#/inspector/conversation:${(first ?? '').slice(4)}`);
    await page.locator('.record-row').nth(5).waitFor();
    await page.locator('.event-list').getByRole('button', { name: 'Pause' }).click();
    const currentRow = await page.locator('.record-row button[aria-current]').getAttribute('data-row');
    await waitUntil(page, 'document.querySelectorAll(".record-row.ahead").length > 2');
    expect(await page.locator('.record-row button[aria-current]').getAttribute('data-row')).to.equal(currentRow);
    await page.getByRole('checkbox', { name: 'this actor' }).check();
    await page.getByRole('checkbox', { name: 'transitions' }).check();
    await page.getByPlaceholder('Search events').fill('turn.completed');
    const types = await page.locator('.record-row .record-type').allTextContents();
    expect(new Set(types)).to.deep.equal(new Set(['turn.completed']));
    await page.getByRole('button', { name: 'Follow', exact: true }).click();
    await waitUntil(page, 'document.querySelectorAll(".record-row.ahead").length === 0');
    expect(await axeViolations(page)).to.deep.equal([]);
  });

  it('filter and pause the log', async function () {
    this.timeout(60_000);
    const fake = await start({ rate: 6, failing: (number) => number === 1, checkpointMs: 300 });
    const { page } = await open(`${fake.url}#/log`);
    const lines = page.locator('.log-line');
    const column = (name: string): Promise<string[]> => lines.locator(name).allTextContents();
    const levels = page.getByRole('group', { name: 'Level' });
    await page.locator('.log-line.warn').first().waitFor({ timeout: 30_000 });
    await page.getByRole('button', { name: 'Pause' }).click();
    expect(new Set(await column('.log-level')).size).to.be.above(1);
    await levels.getByRole('button', { name: 'Warnings' }).click();
    const warnings = await column('.log-level');
    expect(warnings).to.have.length.above(0);
    expect(warnings).not.to.include('info');
    await levels.getByRole('button', { name: 'All' }).click();

    const kinds = page.getByRole('combobox', { name: 'Event kind' });
    const [kind = ''] = (await kinds.locator('option').allTextContents()).slice(1);
    await kinds.selectOption(kind);
    const all = await lines.count();
    expect(all).to.be.above(0);
    await kinds.selectOption('');

    const event = (await column('.log-event')).at(-1) ?? '';
    await page.getByRole('searchbox', { name: 'Search events' }).fill(event);
    expect(new Set(await column('.log-event'))).to.deep.equal(new Set([event]));
    await page.getByRole('searchbox', { name: 'Search events' }).fill('there is none such');
    await page.getByText('No event matches these filters.').waitFor();
    await page.getByRole('searchbox', { name: 'Search events' }).fill('');

    const conversations = page.getByRole('combobox', { name: 'Conversation' });
    await conversations.selectOption({ index: 1 });
    expect(new URL(page.url()).hash).to.match(/^#\/log\?conversation=.+/);
    expect(new Set(await column('.log-conversation')).size).to.equal(1);
    await conversations.selectOption({ index: 0 });
    await page.getByRole('button', { name: /^Resume \(\d+ new\)$/ }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor();
  });

  it('pan and zoom a chart by mouse, wheel, keys and buttons, and fit it again', async () => {
    const fake = await start();
    const { page } = await open(`${fake.url}#/inspector`);
    await page.locator('.state').first().waitFor();
    const transform = (): Promise<{ x: number; y: number; scale: number }> =>
      page.evaluate(`(() => {
        const { a, e, f } = document.querySelector('.statechart > g').transform.baseVal.consolidate().matrix;
        return { x: e, y: f, scale: a };
      })()`);
    const initial = await transform();
    const { height = 0, width = 0, x = 0, y = 0 } = (await page.locator('.statechart').boundingBox()) ?? {};
    await page.mouse.move(x + width / 2, y + height - 80);
    await page.mouse.down();
    await page.mouse.move(x + width / 2 + 70, y + height - 50, { steps: 4 });
    await page.mouse.up();
    const dragged = await transform();
    expect([dragged.x - initial.x, dragged.y - initial.y, dragged.scale]).to.deep.equal([70, 30, initial.scale]);

    await page.mouse.wheel(0, -300);
    await waitUntil(page, `document.querySelector('.statechart > g').getCTM().a > ${initial.scale * 1.05}`);
    await page.getByRole('button', { name: 'Zoom out' }).click();
    const smaller = await transform();
    await page.getByRole('button', { name: 'Zoom in' }).click();
    expect((await transform()).scale / smaller.scale).to.be.closeTo(1.3, 0.01);

    await page.locator('.statechart').focus();
    const before = await transform();
    await page.keyboard.press('ArrowRight');
    expect((await transform()).x).to.be.below(before.x);
    await page.keyboard.press('0');
    const fitted = await transform();
    const isInside = await page.evaluate<boolean>(`(() => {
      const [canvas, chart] = ['.statechart', '.statechart > g'].map((at) => document.querySelector(at).getBoundingClientRect());
      return chart.left >= canvas.left - 1 && chart.right <= canvas.right + 1 && chart.bottom <= canvas.bottom + 1;
    })()`);
    expect(isInside).to.equal(true);
    await page.getByRole('button', { name: 'Zoom in' }).click();
    await page.getByRole('button', { name: 'Fit the whole chart' }).click();
    expect(await transform()).to.deep.equal(fitted);
  });
});
