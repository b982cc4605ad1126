import { expect } from 'chai';
import { readHealth } from '../../cli/health-check.ts';
import { isIdle } from '../../cli/runtime/supervision.ts';

describe('the answer of /health, read by the launcher', () => {
  const read = (body: object, status = 200) => readHealth({ status, body: JSON.stringify(body) });
  const ok = { status: 'ok', version: '0.1.0' };

  it('may have the snake_case fields of older proxies', () => {
    const older = { uptime_s: 5, checkpoint_threshold: 0.7, swap_threshold: 0.8 };
    const health = read({ ...ok, ...older, open_connections: 0, checkpoint_calls: 0 });
    expect(health).to.include({ uptimeSeconds: 5, checkpointThreshold: 0.7, swapThreshold: 0.8 });
    expect(health !== null && isIdle(health)).to.equal(true);
    const busy = read({ ...ok, ...older, open_connections: 0, checkpoint_calls: 1 });
    expect(busy !== null && isIdle(busy)).to.equal(false);
  });

  it('has its camelCase fields preferred', () => {
    expect(read({ ...ok, activeConnections: 2, open_connections: 0 })).to.include({ activeConnections: 2 });
  });

  it('is rejected without a status of 200, "ok" or a version', () => {
    expect(read(ok, 503)).to.equal(null);
    expect(read({ ...ok, status: 'bad' })).to.equal(null);
    expect(read({ status: 'ok' })).to.equal(null);
    expect(readHealth({ status: 200, body: 'no JSON' })).to.equal(null);
  });
});
