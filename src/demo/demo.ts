/** The demo: starts its environment, runs the session, prints the result, stops everything. */
import type { Environment } from '../config/config.ts';
import { VERSION } from '../version.ts';
import { runSession, resultLines } from './run.ts';
import type { Screen } from './screen.ts';
import { openDemoEnvironment, type DemoEnvironment } from './environment.ts';
import type { Colours } from './timeline.ts';

export interface DemoOptions {
  /** An existing, empty directory, whose owner removes it afterwards. */
  readonly dataDir: string;
  readonly screen: Screen;
  readonly colours: Colours;
  readonly columns: number;
  /** Leaves everything running until `signal` aborts. */
  readonly keep: boolean;
  /** Ends the demo at any time. */
  readonly signal: AbortSignal;
  /** How many times faster than life; 1 by default. */
  readonly pace?: number;
  /** Further settings of the proxy, for tests. */
  readonly settings?: Environment;
}

/**
 * Runs the demo.
 *
 * @throws DemoFailure when an expected event did not happen
 */
export async function runDemo(options: DemoOptions): Promise<void> {
  const { dataDir, screen, colours, columns, keep, signal, pace = 1, settings = {} } = options;
  screen.line(colours.bold(`claude-db-proxy ${VERSION}`));
  screen.line(
    'The real redirector, forwarder and machines; a simulated API that is as fast as a large model; a scripted client.',
  );
  screen.line();
  screen.status('making certificates …');
  const environment = await openDemoEnvironment({ dataDir, pace, settings });
  const leave = (): void => void environment.close();
  signal.addEventListener('abort', leave, { once: true });
  try {
    signal.throwIfAborted();
    const measured = await runSession({ environment, screen, colours, columns, pace, signal });
    screen.line();
    for (const line of resultLines(measured, colours)) screen.line(line);
    if (!keep) return;
    signal.removeEventListener('abort', leave);
    screen.line();
    for (const line of addressLines(environment, colours)) screen.line(line);
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    screen.line('stopping');
  } finally {
    await environment.close();
  }
}

/** The addresses, and how to use a real client with them. */
function addressLines({ api, config, proxy }: DemoEnvironment, colours: Colours): string[] {
  const dashboard = `https://localhost:${proxy.ports.dashboard}`;
  return [
    colours.bold('Still running, until Ctrl-C:'),
    `  dashboard      ${dashboard}`,
    `  health         curl --cacert ${proxy.caPath} ${dashboard}/health`,
    `  simulated API  ${api.url}`,
    '',
    colours.bold('To send a real Claude Code through it (the simulated API takes any key, and answers nonsense):'),
    `  export HTTPS_PROXY=http://${config.host}:${proxy.ports.proxy}`,
    `  export NODE_EXTRA_CA_CERTS=${proxy.caPath}`,
    '  export ANTHROPIC_API_KEY=sk-ant-demo',
    '  claude',
  ];
}
