/** Runs a foreground child that prints the signals it gets; blocks its own event loop for a second at SIGUSR2. For foreground-child.process.test.ts. */
import { endAs, runAsForegroundChild } from '../../../cli/launch/foreground-child.ts';

const BUSY_MS = 1_000;
const CHILD = `
for (const signal of ['SIGTSTP', 'SIGUSR1', 'SIGUSR2']) process.on(signal, () => console.log('child got ' + signal));
process.on('SIGTERM', () => process.exit(0));
setInterval(() => undefined, 60_000);
console.log('child ' + process.pid + ' listens');
`;

const ending = runAsForegroundChild(process.execPath, ['-e', CHILD], process.env);
process.prependListener('SIGUSR2', () => {
  process.stdout.write('parent is busy\n');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS);
});
endAs(await ending);
