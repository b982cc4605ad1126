/** The simulated API as a process of its own: `npx tsx src/simulated-api/main.ts --port 9000 --tokens-per-second 80`. */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { startSimulatedApi } from './server.ts';

interface Arguments {
  readonly port: number;
  readonly firstByteMs: number;
  readonly tokensPerSecond: number;
  readonly summaryTokens: number;
  readonly charsPerToken: number;
  readonly record: number;
  readonly lean: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

const given = new Command('simulated-api')
  .description(
    'A simulated Anthropic API on 127.0.0.1. Control it under /__simulated/ (faults, requests, speed, reset).',
  )
  .addOption(new Option('--port <port>', '0 takes a free port').argParser(figure).default(0))
  .addOption(new Option('--first-byte-ms <ms>', 'time until an answer begins').argParser(figure).default(0))
  .addOption(new Option('--tokens-per-second <n>', 'speed of an answer').argParser(figure).default(Infinity))
  .addOption(new Option('--summary-tokens <n>', 'length of a summary').argParser(figure).default(600))
  .addOption(new Option('--chars-per-token <n>', 'smaller makes prompts count as larger').argParser(figure).default(4))
  .addOption(new Option('--record <n>', 'requests to keep with their bodies').argParser(figure).default(100))
  .option('--lean', 'neither parse nor check request bodies (benchmarks)', false)
  .option('--tls-cert <file>', 'certificate chain in PEM: serve HTTPS')
  .option('--tls-key <file>', 'its key in PEM')
  .parse()
  .opts<Arguments>();

const { tlsCert, tlsKey, firstByteMs, tokensPerSecond, ...rest } = given;
const tls =
  tlsCert === undefined || tlsKey === undefined
    ? undefined
    : { cert: readFileSync(tlsCert), key: readFileSync(tlsKey) };
const api = await startSimulatedApi({ ...rest, speed: { firstByteMs, tokensPerSecond }, tls });
process.stdout.write(`Simulated API on ${api.url}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void api.close());

function figure(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) throw new InvalidArgumentError('Not a number.');
  return value;
}
