/** A proxy whose conversations change all the time, told to it as the forwarder would tell; says how much CPU it took. */
import { parseConfig } from '../../src/config/config.ts';
import type { ParsedRequest } from '../../src/conversations/parsed-request.ts';
import { silentLog } from '../../src/log.ts';
import { startProxy } from '../../src/proxy.ts';
import { NO_USAGE } from '../../src/wire/answer-reader.ts';
import { readLaunchSettings } from '../../src/wire/launch-settings.ts';
import { readMessageRequest } from '../../src/wire/message-request.ts';
import { readClientHeaders } from '../../src/wire/identity.ts';
import { tokens } from '../../machines/units.ts';

const CONVERSATIONS = 200;
const EVERY_MS = 100;
/** Below the checkpoint threshold: a turn that is only noted. */
const MOST_USED = 120_000;

const proxy = await startProxy({ config: parseConfig(process.env), log: silentLog });

function seen(number: number): ParsedRequest {
  const messages = [{ role: 'user', content: `Question ${number}: please go through the sources of this project.` }];
  const system = `Working directory: /home/somebody/projects/project-${number}`;
  const body = Buffer.from(JSON.stringify({ model: 'claude-sonnet-4-6', max_tokens: 32_000, system, messages }));
  const request = readMessageRequest(body);
  if (request === null) throw new Error('this is no message request');
  const headers = ['x-claude-code-session-id', `session-${number}`, 'x-claude-code-request-class', 'main'];
  const labels = readClientHeaders(headers);
  const launch = readLaunchSettings(headers);
  return { labels, launch, request, history: request, path: '/v1/messages', headers, body };
}

const turns = Array.from({ length: CONVERSATIONS }, (_, number) => proxy.turns.begin(seen(number)));
let round = 0;
setInterval(() => {
  round += 1;
  turns.forEach((turn, number) => {
    const used = tokens(1_000 + ((round * 97 + number * 331) % MOST_USED));
    proxy.turns.complete(turn, { ...NO_USAGE, cacheRead: used });
  });
}, EVERY_MS);

process.on('message', (question) => {
  if (question === 'cpu') process.send?.({ cpu: process.cpuUsage(), at: performance.now(), round });
});
process.on('SIGTERM', () => {
  void proxy.stop().then(() => process.exit(0));
});
process.send?.({ port: proxy.ports.dashboard, caPath: proxy.caPath, token: proxy.access.token });
