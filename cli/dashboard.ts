/** `claude-db-proxy dashboard [--open]`: the address with the token that lets a browser in. */
import { spawn } from 'node:child_process';
import type { Environment } from '../src/config/config.ts';
import { RuntimeError } from '../src/errors.ts';
import { notRunning, readToken } from './api.ts';
import { findRunning } from './runtime/supervision.ts';
import { contextOf } from './context.ts';

/** What opens an address in the user's browser, by platform. */
const OPENERS: Readonly<Partial<Record<NodeJS.Platform, string>>> = { darwin: 'open', linux: 'xdg-open' };
const OPENER_MS = 5_000;

/** @throws RuntimeError where there is nothing to open, ConfigError */
export async function dashboard(env: Environment, options: { readonly open: boolean }): Promise<void> {
  const { config, layout } = contextOf(env);
  const { running } = await findRunning({ config, layout });
  if (running === null) throw notRunning();
  const token = readToken(layout);
  if (token === null)
    throw new RuntimeError(`there is no token in ${layout.token}; restart the proxy, which makes one`);
  const url = `https://localhost:${running.record.ports.dashboard}/dashboard?token=${token}`;
  process.stdout.write(`${url}\n`);
  if (options.open && !(await open(url)))
    throw new RuntimeError('no browser could be opened; open the address yourself');
}

/** True when a browser was told. */
function open(url: string): Promise<boolean> {
  const opener = OPENERS[process.platform];
  if (opener === undefined) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(opener, [url], { stdio: 'ignore', detached: true });
    // Some of them stay until the browser ends: that is as good.
    const timer = setTimeout(() => settle(true), OPENER_MS);
    const settle = (opened: boolean): void => {
      clearTimeout(timer);
      child.unref();
      resolve(opened);
    };
    child.once('error', () => settle(false)).once('exit', (code) => settle(code === 0));
  });
}
