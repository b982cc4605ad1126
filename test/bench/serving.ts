/** How long a served compaction takes: from the request's last byte in to the answer's last byte out. */
import { connect, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { COMPACT_INSTRUCTION } from '../../src/demo/scripted-client.ts';
import type { Message } from '../../src/wire/message-request.ts';
import { startRig, type Rig } from '../support/rig.ts';
import { figure, type Figure } from './figures.ts';
import { bodyOf, historyOf } from './histories.ts';

const SIZES = [
  { label: '1 MB', bytes: 1_000_000, goal: 15 },
  { label: '4 MB', bytes: 4_000_000, goal: 60 },
];
const SAMPLES = 60;

function head(kind: string, length: number): string {
  return [
    'POST /v1/messages?beta=true HTTP/1.1',
    'host: api.anthropic.com',
    'content-type: application/json',
    'x-api-key: sk-ant-bench',
    'anthropic-version: 2023-06-01',
    'x-claude-code-session-id: bench',
    `x-claude-code-request-class: ${kind}`,
    ...(kind === 'compaction' ? ['x-claude-code-compaction: auto'] : []),
    `content-length: ${length}`,
    '\r\n',
  ].join('\r\n');
}

/** Sends all but the last byte, waits, then times from that byte to the end of the answer. */
async function timed(socket: TLSSocket, kind: string, body: Buffer): Promise<{ ms: number; head: string }> {
  const rest = body.subarray(0, -1);
  await new Promise<void>((resolve) => {
    socket.write(head(kind, body.length));
    socket.write(rest, () => resolve());
  });
  await new Promise((resolve) => setTimeout(resolve, 15));
  const began = performance.now();
  socket.write(body.subarray(-1));
  const chunks: Buffer[] = [];
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    chunks.push(chunk);
    const text = Buffer.concat(chunks).toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) continue;
    const length = /content-length: (\d+)/i.exec(text.slice(0, end))?.[1];
    const done = length === undefined ? text.endsWith('0\r\n\r\n') : text.length - end - 4 >= Number(length);
    if (done) return { ms: performance.now() - began, head: text.slice(0, end + 300) };
  }
}

async function measure(rig: Rig, bytes: number): Promise<number[]> {
  const socket = connect({
    port: rig.proxy.ports.dashboard,
    host: '127.0.0.1',
    servername: 'api.anthropic.com',
    ca: rig.ca,
  });
  await once(socket, 'secureConnect');
  const history = historyOf(bytes);
  const first = await timed(socket, 'main', bodyOf(history));
  if (!first.head.includes(' 200 ')) throw new Error(`the first turn failed:\n${first.head}`);
  await rig.logged('checkpoint.completed', undefined, 30_000);
  const answered: Message = { role: 'assistant', content: [{ type: 'text', text: 'Everything is fixed.' }] };
  const compaction = bodyOf([...history, answered, { role: 'user', content: COMPACT_INSTRUCTION }]);
  const times: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    const { ms, head: answer } = await timed(socket, 'compaction', compaction);
    if (!answer.includes('x-double-buffer-served')) throw new Error(`not served:\n${answer}`);
    times.push(ms);
  }
  socket.destroy();
  return times;
}

export async function benchServing(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const { label, bytes, goal } of SIZES) {
    const rig = await startRig({}, { record: 0, charsPerToken: 8 });
    rig.api.respondWith(({ isSummary }) => (isSummary ? undefined : { promptTokens: 800_000 }));
    figures.push(figure(`serve a compaction of ${label}`, 'ms', await measure(rig, bytes), goal));
    await rig.close();
  }
  return figures;
}
