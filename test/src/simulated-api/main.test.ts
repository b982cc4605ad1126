import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ask, question, textOf } from './client.ts';

describe('simulated API: as a process', () => {
  it('starts, answers and ends without a trace', async () => {
    const main = 'src/simulated-api/main.ts';
    const child = spawn(process.execPath, ['--import', 'tsx', main, '--port', '0', '--first-byte-ms', '5'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // Two processes' coverage of one file does not add up in c8.
      env: { ...process.env, NODE_V8_COVERAGE: '' },
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const url = /http:\/\/\S+/.exec(line.toString())?.[0] ?? '';
    const reply = await ask({ url }, question());
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(textOf(reply)).to.match(/^This is simulated/);
    expect(code).to.equal(0);
  });
});
