/** Debian's Chromium, with pages that record their requests and errors. */
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

const CHROMIUM = process.env['CHROMIUM_BIN'] ?? '/usr/bin/chromium';

/** The timeout of every wait for an element. */
const WAIT_MS = 15_000;

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // The tests run as root in a container, where Chromium's sandbox cannot be set up.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

export interface OpenedPage {
  readonly context: BrowserContext;
  readonly page: Page;
  /** Every URL that the page requested. */
  readonly requestedUrls: readonly string[];
  /** Script errors and console errors, violations of the content security policy included. */
  readonly errors: string[];
}

export interface PageOptions {
  readonly theme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

/** Opens a page without cookies. It accepts the proxy's certificate, whose authority the browser does not know. */
export async function openPage(browser: Browser, options: PageOptions = {}): Promise<OpenedPage> {
  const { theme = 'light', width = 1440, height = 900 } = options;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    ignoreHTTPSErrors: true,
    acceptDownloads: true,
  });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const requestedUrls: string[] = [];
  const errors: string[] = [];
  context.on('request', (request) => requestedUrls.push(request.url()));
  page.on('websocket', (socket) => requestedUrls.push(socket.url()));
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  return { context, page, requestedUrls, errors };
}

/** The requested URLs that are not on this machine. `blob:` and `data:` never leave the browser. */
export function externalUrls(requestedUrls: readonly string[]): string[] {
  return requestedUrls.filter((url) => {
    const { hostname, protocol } = new URL(url);
    return protocol !== 'blob:' && protocol !== 'data:' && hostname !== 'localhost' && hostname !== '127.0.0.1';
  });
}
