/** Who gets nothing from the dashboard: without the token, under a foreign name, from a foreign page. */
import { expect } from 'chai';
import { once } from 'node:events';
import type { Browser } from 'playwright-core';
import { Agent, request } from 'undici';
import WebSocket from 'ws';
import { openBrowser, openPage } from './browser.ts';
import { openBrowserHarness, type BrowserHarness } from './browser-harness.ts';

describe('unauthorized access to the dashboard', function () {
  let harness: BrowserHarness;
  let browser: Browser;
  let agent: Agent;
  let cookie: string;

  before(async function () {
    this.timeout(120_000);
    [harness, browser] = await Promise.all([openBrowserHarness(), openBrowser()]);
    agent = new Agent({ connect: { ca: harness.ca, checkServerIdentity: () => undefined } });
    await harness.environment.client.say('Nobody else is to read this.');
    const { headers, body } = await request(harness.tokenUrl, { dispatcher: agent });
    await body.dump();
    cookie = String(headers['set-cookie']).split(';')[0] ?? '';
  });

  after(async () => {
    await browser.close();
    await agent.close();
    await harness.close();
  });

  it('shows only the reason to a page with a wrong token in its URL', async () => {
    const { page, context, requestedUrls } = await openPage(browser);
    const answer = await page.goto(`${harness.origin}/dashboard?token=wrong`);
    expect(answer?.status()).to.equal(401);
    expect(await page.textContent('body')).to.include('The token is missing or wrong');
    expect(requestedUrls.filter((url) => url.includes('/assets/'))).to.deep.equal([]);
    await context.close();
  });

  const paths = ['/dashboard/', '/dashboard/index.html', '/api/conversations', '/metrics', '/socket.io/?EIO=4'];
  const refused: readonly (readonly [string, number, () => Record<string, string>])[] = [
    ['no token', 401, () => ({})],
    ['a wrong token', 401, () => ({ authorization: 'Bearer wrong' })],
    ['a foreign Host', 421, () => ({ host: 'attacker.example', cookie })],
    ['a foreign Origin', 403, () => ({ origin: 'https://attacker.example', cookie })],
  ];
  for (const [what, status, headers] of refused) {
    it(`answers ${what} with ${status} and no content`, async () => {
      for (const path of paths) {
        const answer = await request(`${harness.origin}${path}`, { dispatcher: agent, headers: headers() });
        const text = await answer.body.text();
        expect(answer.statusCode, path).to.equal(status);
        expect(text).to.not.include('Nobody else').and.not.include('assets/');
      }
    });

    it(`opens no socket for ${what}`, async () => {
      const url = `${harness.origin.replace('https', 'wss')}/socket.io/?EIO=4&transport=websocket`;
      const socket = new WebSocket(url, { ca: harness.ca, headers: headers() });
      const [error] = (await once(socket, 'error')) as [Error];
      // Some are refused with a status, most connections are closed.
      expect(error.message).to.match(/^(socket hang up|Unexpected server response: 4\d\d)$/);
    });
  }

  it('opens a socket with the cookie and the own Origin', async () => {
    const url = `${harness.origin.replace('https', 'wss')}/socket.io/?EIO=4&transport=websocket`;
    const socket = new WebSocket(url, { ca: harness.ca, headers: { cookie, origin: harness.origin } });
    await once(socket, 'open');
    socket.terminate();
  });
});
