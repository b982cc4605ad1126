/** The figures of `GET /health`, read from the running parts of the proxy. */
import type { CheckpointCalls } from '../checkpoint/calls.ts';
import { isoOrNull, type CheckpointGate } from '../checkpoint/gate.ts';
import type { CheckpointIndex } from '../checkpoint/index.ts';
import type { Config } from '../config/config.ts';
import type { Conversations } from '../conversations/conversations.ts';
import type { Forwarder } from '../forwarder/forwarder.ts';
import type { ByteBudget } from '../net/byte-budget.ts';
import type { OpenConnections } from '../net/open-connections.ts';
import type { Redirector } from '../redirector/redirector.ts';
import type { StateStore } from '../store/state-store.ts';
import { VERSION } from '../version.ts';
import type { Health } from './health.ts';

export interface HealthReportOptions {
  readonly config: Config;
  /** Wall-clock time of the start, in milliseconds. */
  readonly began: number;
  readonly conversations: Conversations;
  readonly index: CheckpointIndex;
  readonly calls: CheckpointCalls;
  readonly gate: CheckpointGate;
  readonly store: StateStore;
  readonly openConnections: OpenConnections;
  readonly budget: ByteBudget;
  readonly forwarder: Forwarder;
  readonly redirector: Redirector;
}

export function healthReport(options: HealthReportOptions): Health {
  const { began, budget, calls, config, conversations, forwarder, gate, index, openConnections, redirector, store } =
    options;
  const { checkpoint: checkpointThreshold, swap: swapThreshold } = config.thresholds;
  const uptimeSeconds = Math.round((Date.now() - began) / 1_000);
  const activeConnections = forwarder.openConnections + redirector.counts().blind;
  const checkpointCalls = calls.size;
  return {
    status: 'ok',
    version: VERSION,
    uptimeSeconds,
    conversations: conversations.actors.size,
    checkpoints: index.size,
    passthrough: config.passthrough,
    checkpointBreaker: gate.breaker.state,
    checkpointsResumeAt: isoOrNull(gate.breaker.resumesAt),
    store: store.isOpen ? 'open' : 'closed',
    totalConnections: openConnections.size,
    bufferedBytes: budget.used,
    checkpointThreshold,
    swapThreshold,
    activeConnections,
    checkpointCalls,
    uptime_s: uptimeSeconds,
    checkpoint_threshold: checkpointThreshold,
    swap_threshold: swapThreshold,
    // The launcher in sh matches these two with the comma after them, in this order (cli/posix/launcher/proxy.sh).
    open_connections: activeConnections,
    checkpoint_calls: checkpointCalls,
    pid: process.pid,
  };
}
