/**
 * Makes the PNG images of the dashboard from a running proxy: `npm run pictures`. Plays the demo's session and a few
 * others against the simulated API and takes screenshots with Debian's Chromium in both themes.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { dashboardUrl } from '../../src/admin/access/access.ts';
import { ScriptedClient } from '../../src/demo/scripted-client.ts';
import {
  AFTER_COMPACTION,
  BEFORE_COMPACTION,
  listing,
  DURING_CHECKPOINT,
  messagesOf,
  OPENING,
} from '../../src/demo/session.ts';
import { openDemoEnvironment, type DemoEnvironment } from '../../src/demo/environment.ts';

const PACE = 12;
const SIZE = { width: 1280, height: 800 };
const CHROMIUM = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium';

/** The other sessions: folder, first words, model, tokens of context, name of the subagent. */
const OTHERS: readonly (readonly [string, string, string, number, string?])[] = [
  ['mobile-app', 'Make the order list scroll smoothly with five hundred rows', 'claude-sonnet-4-6', 96_000],
  ['billing', 'Move the tax rules out of the controller and test them', 'claude-opus-5-5', 402_000],
  ['search-index', 'Find out who still calls the old endpoint', 'claude-haiku-4-5', 41_000, 'explorer'],
  ['web-shop', 'The date picker shows Sunday first in Germany', 'claude-sonnet-4-6', 118_000],
  ['docs-site', 'Write the migration guide, and the way back', 'claude-sonnet-4-6', 61_000],
  ['infra', 'Why does the build take four minutes?', 'claude-haiku-4-5', 131_000],
];

const where = (folder: string): string => `Working directory: /home/ada/work/${folder}\n`;

async function playOthers(stage: DemoEnvironment, ca: string): Promise<ScriptedClient[]> {
  const proxy = `http://${stage.config.host}:${stage.proxy.ports.proxy}`;
  const clients: ScriptedClient[] = [];
  for (const [folder, words, model, read, agent] of OTHERS) {
    const system = where(folder) + listing('tools', 8_000);
    const client = new ScriptedClient({ proxy, ca, model, system, ...(agent === undefined ? {} : { agent }) });
    clients.push(client);
    await client.say(words);
    for (let part = 0; part < 4; part += 1) await client.say(listing(`part ${part} of what was read`, read / 4));
  }
  return clients;
}

async function playDemo(stage: DemoEnvironment, turns: typeof OPENING, from: number): Promise<void> {
  for (const [index, turn] of turns.entries()) {
    const { before, last } = messagesOf(turn, from + index);
    stage.client.messages.push(...before);
    await stage.client.say(last);
  }
}

/** Takes a screenshot once `selector` is visible, and a moment later for charts and fonts. */
async function takePicture(page: Page, name: string, selector: string): Promise<void> {
  await page.locator(selector).first().waitFor();
  await page.waitForTimeout(600);
  await page.screenshot({ path: fileURLToPath(new URL(`${name}.png`, import.meta.url)) });
}

const dataDir = mkdtempSync(join(tmpdir(), 'dbproxy-pictures-'));
const stage = await openDemoEnvironment({ dataDir, pace: PACE, settings: {} });
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
let clients: ScriptedClient[] = [];
try {
  const origin = `https://localhost:${stage.proxy.ports.dashboard}`;
  const pages = await Promise.all(
    (['light', 'dark'] as const).map(async (theme) => {
      const context = await browser.newContext({ viewport: SIZE, colorScheme: theme, ignoreHTTPSErrors: true });
      const page = await context.newPage();
      await page.goto(dashboardUrl(origin, stage.proxy.access.token));
      return { theme, page };
    }),
  );
  // A first cycle that ends with a swap, and half of a second one.
  await playDemo(stage, OPENING, 0);
  await stage.events.wait('checkpoint.completed', 30_000, AbortSignal.timeout(30_000));
  await playDemo(stage, [...DURING_CHECKPOINT, BEFORE_COMPACTION], 100);
  await stage.client.compact();
  await playDemo(stage, [...AFTER_COMPACTION, ...OPENING.slice(0, -1)], 200);
  clients = await playOthers(stage, readFileSync(stage.proxy.caPath, 'utf8'));

  const [conversation] = stage.proxy.dashboard.views.all().filter(({ name }) => name.text.startsWith('The nightly'));
  const hash = `#/c/${conversation?.id ?? ''}`;
  for (const { page } of pages) {
    await page.goto(`${origin}/dashboard/${hash}`);
    await page.locator('.tokens-card canvas').waitFor();
  }
  await playDemo(stage, OPENING.slice(-1), 300);
  for (const { page } of pages) await page.locator('.conversation-header .phase', { hasText: 'WAL active' }).waitFor();
  await playDemo(stage, DURING_CHECKPOINT.slice(0, 2), 400);
  for (const { theme, page } of pages) {
    await takePicture(page, `conversation-${theme}`, '.write-ahead .message');
    await page.goto(`${origin}/dashboard/#/`);
    await takePicture(page, `dashboard-${theme}`, '.list.wide .row');
    await page.goto(`${origin}/dashboard/#/inspector/conversation:${conversation?.id ?? ''}`);
    await page.locator('.state').first().waitFor();
  }
  await playDemo(stage, [BEFORE_COMPACTION], 500);
  for (const { theme, page } of pages)
    await takePicture(page, `inspector-${theme}`, '.transition.taken .label, .line.taken');
} finally {
  await browser.close();
  await Promise.all(clients.map((client) => client.close()));
  await stage.close();
  rmSync(dataDir, { recursive: true, force: true });
}
