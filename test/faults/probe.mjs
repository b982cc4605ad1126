/**
 * Preloaded into a `serve` process by the fault suite (`--import`): shifts its clock, lets its long timers run fast, and
 * tells what it holds. SIGUSR2 makes it read its orders and write its report; the product knows nothing of it.
 *
 * orders: {"offsetMs": n}; report: {"heap": bytes, "resources": {name: count}, "offsetMs": n, "asked": n}
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

const file = process.env.FAULTS_PROBE;
const fast = Number(process.env.FAULTS_FAST_TIMERS ?? '0');
const RealDate = Date;
let offset = Number(process.env.FAULTS_CLOCK_OFFSET ?? '0');

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + offset);
    else super(...given);
  }

  static now() {
    return RealDate.now() + offset;
  }
};

// What happens once a minute or once a day happens soon.
if (fast > 0) {
  const setReal = globalThis.setInterval;
  globalThis.setInterval = (callback, ms, ...rest) => setReal(callback, ms >= 60_000 ? fast : ms, ...rest);
}

function look() {
  let asked = 0;
  try {
    const orders = JSON.parse(readFileSync(file, 'utf8'));
    offset = orders.offsetMs ?? offset;
    asked = orders.asked;
  } catch {
    // No orders yet.
  }
  // What finalizers let go of is gone only after the second.
  globalThis.gc?.();
  globalThis.gc?.();
  const resources = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  const { heapUsed, external } = process.memoryUsage();
  writeFileSync(`${file}.new`, JSON.stringify({ heap: heapUsed + external, resources, offsetMs: offset, asked }));
  renameSync(`${file}.new`, `${file}.report`);
}

process.on('SIGUSR2', look);
