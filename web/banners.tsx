/** The notices above every page: connection lost, passthrough on, checkpoints paused or failing. */
import type { JSX } from 'preact';
import { RetryStatus } from './components/retry-status.tsx';
import { clockTime, plural } from './format.ts';
import { Countdown } from './components/relative-time.tsx';
import { connection, restartedAt } from './state/connection.ts';
import { routeUrl } from './state/route-url.ts';
import { route } from './state/current-route.ts';
import { failing, hello, totals } from './state/store.ts';

/** How long the notice of a restart is shown. */
const RESTART_NOTICE_MS = 60_000;

export function Banners(): JSX.Element {
  return (
    <section aria-label="Notices">
      <DisconnectedBanner />
      <PassthroughBanner />
      <PausedBanner />
      <FailingBanner />
      {/* Screen readers announce a lost connection once, and not the banners, whose countdowns change every second. */}
      <p class="visually-hidden" role="status">
        {connection.value.state === 'gone' ? 'The connection to the proxy is lost.' : ''}
      </p>
    </section>
  );
}

function DisconnectedBanner(): JSX.Element | null {
  const { value } = connection;
  const offline = route.value.page === 'inspector' ? ' Recordings can still be opened.' : '';
  if (value.state === 'gone') {
    return (
      <p class="banner bad">
        <strong>Connection lost.</strong>
        <span>
          Reconnecting since {clockTime(value.since)}. This page shows the state from then.{offline}
        </span>
      </p>
    );
  }
  if (value.state === 'connecting' && value.failed) {
    return (
      <p class="banner bad">
        <strong>The proxy cannot be reached.</strong>
        <span>
          Trying since {clockTime(value.since)}. Check that it is running and that this is the address it printed.
          {offline}
        </span>
      </p>
    );
  }
  const { value: at } = restartedAt;
  if (at === null || Date.now() - at > RESTART_NOTICE_MS) return null;
  return (
    <p class="banner info">
      <strong>The proxy was restarted</strong>
      <span>at {clockTime(at)}. Each conversation appears again with its next request.</span>
    </p>
  );
}

function PassthroughBanner(): JSX.Element | null {
  if (hello.value?.passthrough !== true) return null;
  return (
    <p class="banner warn">
      <strong>Passthrough is on.</strong>
      <span>
        Requests are forwarded unchanged; no checkpoint is computed and no compaction is served. To turn it off, restart
        the proxy without <code>DBPROXY_PASSTHROUGH</code>.
      </span>
    </p>
  );
}

/** The circuit breaker is open: many checkpoint calls have failed. */
function PausedBanner(): JSX.Element | null {
  const paused = totals.value?.checkpoints.paused;
  if (paused === undefined) return null;
  return (
    <p class="banner bad">
      <strong>Checkpoints are paused.</strong>
      <span>
        Many calls failed in a row.{' '}
        {paused.until === null ? (
          'Retrying now.'
        ) : (
          <>
            Next attempt <Countdown at={paused.until} />.
          </>
        )}{' '}
        Until then, the API compacts conversations that have no checkpoint.
      </span>
    </p>
  );
}

function FailingBanner(): JSX.Element | null {
  const { value: views } = failing;
  const [first] = views;
  if (first?.call.failure == null || totals.value?.checkpoints.paused !== undefined) return null;
  const where =
    views.length === 1 ? (
      <a href={routeUrl({ page: 'conversations', id: first.id })}>{first.name.text}</a>
    ) : (
      plural(views.length, 'conversation')
    );
  const { message } = first.call.failure;
  return (
    <p class="banner warn">
      <strong>Checkpoints are failing</strong>
      <span>
        in {where}: {message}
        {/[.!?]$/.test(message) ? ' ' : '. '}
        <RetryStatus call={first.call} />.
      </span>
    </p>
  );
}
