/** Shown while no client has connected: how to start one through the proxy. */
import type { JSX } from 'preact';
import { percent } from '../format.ts';
import { Command } from '../components/copy-button.tsx';
import { Logo } from '../components/icons.tsx';
import { hello } from '../state/store.ts';

export function EmptyState(): JSX.Element {
  const { value } = hello;
  if (value === null) return <p class="empty muted">Loading …</p>;
  const { proxyUrl, caPath } = value.setup;
  const command = [
    `HTTPS_PROXY=${shellQuote(proxyUrl)} \\`,
    `NODE_EXTRA_CA_CERTS=${shellQuote(caPath)} \\`,
    `CLAUDE_AUTOCOMPACT_PCT_OVERRIDE=${Math.round(value.thresholds.swap * 100)} \\`,
    'claude',
  ].join('\n');
  return (
    <div class="empty">
      <Logo />
      <h2>No conversations yet. Start Claude Code through the proxy</h2>
      <p>Run in your shell:</p>
      <Command text={command} what="the command" />
      <p>
        The conversation appears here with its first request. At {percent(value.thresholds.checkpoint)} of its context,
        a summary is computed in the background; at {percent(value.thresholds.swap)}, it is compacted instantly.
      </p>
    </div>
  );
}

const shellQuote = (text: string): string =>
  /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
