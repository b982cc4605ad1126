/** What this process holds, after a collection. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

const collect = collector();

/** Bytes in use, on the heap and beside it (buffers), once everything that can go has gone. */
export function bytesInUse(): number {
  // What finalizers let go of is gone only after the second.
  collect();
  collect();
  const { external, heapUsed } = process.memoryUsage();
  return heapUsed + external;
}
