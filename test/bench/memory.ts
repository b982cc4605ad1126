/** What the proxy's process keeps in memory: per idle conversation, and after very many requests. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect } from 'node:tls';
import { figure, type Figure } from './figures.ts';
import { bodyOf, historyOf } from './histories.ts';
import { Connection } from './load.ts';
import { startBench, type Bench } from './processes.ts';

/** Enough conversations of each size that what a process happens to hold besides does not matter. */
const SIZES = [
  { label: '30 KB', bytes: 30_000, conversations: 400 },
  { label: '600 KB', bytes: 600_000, conversations: 150 },
  { label: '4 MB', bytes: 4_000_000, conversations: 40 },
];
const WARM_UP = 30;
/** KB that an idle conversation may keep … */
const GOAL_KB = 64;
/** … and about what the simulated API's summary adds to that. */
const SUMMARY_KB = 2;
/** Tokens that a prompt counts as when it is to be checkpointed: much of the model's window of a million, not all of it. */
const LARGE_PROMPT = 800_000;
/** Each conversation has one turn: a checkpoint that is skipped because too many are computed would not come any more. */
const MANY_CHECKPOINTS = { DBPROXY_MAX_CHECKPOINTS: '1000' };
const NO_CHECKPOINT = ['--chars-per-token', '1000'];

const REQUESTS = Number(process.env['BENCH_REQUESTS'] ?? 100_000);
const CONVERSATIONS = 1_000;
const CONNECTIONS = 16;
/** Measurements in the last half of the run: their median is compared, so that one unlucky moment does not count. */
const READINGS = 5;

const PLACE = 'Please go through the sources';

/** A body whose first message can be made another conversation's. */
class Body {
  readonly bytes: Buffer;
  readonly #at: number;

  constructor(size: number) {
    this.bytes = bodyOf(historyOf(size));
    this.#at = this.bytes.indexOf(PLACE);
  }

  of(conversation: number): Buffer {
    this.bytes.write(`No. ${conversation} `.padEnd(PLACE.length, '.'), this.#at);
    return this.bytes;
  }
}

/** Number of checkpoints that the proxy holds, from its health page. */
async function checkpoints(bench: Bench): Promise<number> {
  const { ca, port } = bench.proxy;
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost' });
  const asked = request({ createConnection: () => socket, path: '/health', headers: { host: 'localhost' } });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  socket.destroy();
  return (JSON.parse(text) as { checkpoints: number }).checkpoints;
}

async function reach(bench: Bench, count: number): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (let found = 0; found < count; found = await checkpoints(bench)) {
    if (Date.now() > deadline) throw new Error(`${found} checkpoints instead of ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Memory that each of so many new conversations adds, in KB. */
async function perConversation(bench: Bench, size: (typeof SIZES)[number], withCheckpoints: boolean): Promise<number> {
  const connection = await Connection.open(bench.proxy);
  const body = new Body(size.bytes);
  const converse = async (from: number, count: number): Promise<void> => {
    for (let at = from; at < from + count; at += 1) {
      await connection.exchange({ session: `idle-${size.label.replace(' ', '')}-${at}`, body: body.of(at), deltas: 5 });
    }
    if (withCheckpoints) await reach(bench, from + count);
    // Until they are idle: the last exchange is read once its bytes have left.
    await new Promise((resolve) => setTimeout(resolve, 100));
  };
  await converse(0, WARM_UP);
  const before = await bench.stats();
  await converse(WARM_UP, size.conversations);
  const after = await bench.stats();
  connection.close();
  const opened = after.conversations - before.conversations;
  if (opened !== size.conversations) throw new Error(`${opened} conversations instead of ${size.conversations}`);
  return (after.memory - before.memory) / size.conversations / 1_024;
}

async function perIdleConversation(): Promise<Figure[]> {
  const figures: Figure[] = [];
  const plain = await startBench({}, NO_CHECKPOINT);
  try {
    for (const size of SIZES) {
      const kept = await perConversation(plain, size, false);
      figures.push(figure(`memory per idle conversation of ${size.label}`, 'KB', [kept], GOAL_KB));
    }
  } finally {
    await plain.close();
  }
  for (const size of SIZES) {
    const bench = await startBench(MANY_CHECKPOINTS, ['--chars-per-token', String(size.bytes / LARGE_PROMPT)]);
    try {
      const kept = await perConversation(bench, size, true);
      figures.push(figure(`the same with a checkpoint, ${size.label}`, 'KB', [kept], GOAL_KB + SUMMARY_KB));
    } finally {
      await bench.close();
    }
  }
  return figures;
}

/** Growth of the memory over the last half of very many requests, in percent. */
async function growth(): Promise<Figure> {
  const bench = await startBench({}, NO_CHECKPOINT);
  try {
    const open = await Promise.all(Array.from({ length: CONNECTIONS }, () => Connection.open(bench.proxy)));
    let next = 0;
    const run = async (until: number): Promise<void> => {
      await Promise.all(
        open.map(async (connection) => {
          const body = new Body(200);
          while (next < until) {
            const at = next % CONVERSATIONS;
            next += 1;
            await connection.exchange({ session: `one-of-many-${at}`, body: body.of(at), deltas: 5 });
          }
        }),
      );
    };
    const readings: number[] = [];
    for (let reading = 0; reading <= READINGS; reading += 1) {
      await run((REQUESTS / 2) * (1 + reading / READINGS));
      readings.push((await bench.stats()).memory);
    }
    for (const connection of open) connection.close();
    const [half = Number.NaN, ...later] = readings;
    const grown = later.map((memory) => (100 * (memory - half)) / half);
    const name = `memory growth, last half of ${REQUESTS} requests over ${CONVERSATIONS} conversations`;
    return figure(name, '%', grown, 2);
  } finally {
    await bench.close();
  }
}

export async function benchMemory(): Promise<Figure[]> {
  return [...(await perIdleConversation()), await growth()];
}
