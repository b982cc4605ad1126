import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const PARENT = fileURLToPath(new URL('foreground-parent.ts', import.meta.url));

/** The state letter of a process in /proc: `T` while it is stopped. */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).charAt(0);
}

async function eventually(holds: () => boolean, what: string): Promise<void> {
  for (const deadline = Date.now() + 15_000; !holds();) {
    if (Date.now() > deadline) throw new Error(`did not happen within 15 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a foreground child', function () {
  this.timeout(30_000);
  let parent: ChildProcess;
  let output: string;

  beforeEach(async function () {
    if (process.platform !== 'linux') return this.skip();
    parent = spawn(process.execPath, ['--import', 'tsx', PARENT], { stdio: ['pipe', 'pipe', 'inherit'] });
    output = '';
    parent.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually(() => /child \d+ listens/.test(output), 'the start of the child');
  });
  afterEach(async () => {
    if (parent.exitCode !== null || parent.signalCode !== null) return;
    const ended = once(parent, 'exit');
    parent.kill('SIGCONT');
    parent.kill('SIGTERM');
    await ended;
  });

  const childPid = (): number => Number(/child (\d+) listens/.exec(output)?.[1]);

  it('gets a SIGTSTP that is sent to its parent alone', async () => {
    parent.kill('SIGTSTP');
    await eventually(() => output.includes('child got SIGTSTP'), 'the signal');
  });

  it('is not stopped again after `fg` by a SIGTSTP that its parent handles late', async () => {
    parent.kill('SIGUSR2');
    await eventually(() => output.includes('parent is busy'), 'the busy parent');
    process.kill(childPid(), 'SIGSTOP');
    await eventually(() => stateOf(childPid()) === 'T', 'the stopped child');
    parent.kill('SIGTSTP');
    await eventually(() => stateOf(parent.pid ?? 0) === 'T', 'the stopped parent');
    process.kill(childPid(), 'SIGCONT');
    parent.kill('SIGCONT');
    parent.kill('SIGUSR1');
    await eventually(() => output.includes('child got SIGUSR1'), 'a signal behind the others');
    expect(output).not.to.include('child got SIGTSTP');
  });
});
