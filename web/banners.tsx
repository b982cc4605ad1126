/** What everyone has to know, on whatever page: the proxy is gone, passthrough is on, checkpoints fail. */
import type { JSX } from 'preact';
import { clockTime, plural } from './format.ts';
import { Countdown } from './components/relative-time.tsx';
import { connection, restartedAt } from './state/connection.ts';
import { routeUrl } from './state/route-url.ts';
import { route } from './state/current-route.ts';
import { failing, hello, totals } from './state/store.ts';

/** How long a restart is mentioned. */
const RESTART_NOTICE_MS = 60_000;

export function Banners(): JSX.Element {
  return (
    <section class="banners" aria-label="Notices">
      <DisconnectedBanner />
      <PassthroughBanner />
      <PausedBanner />
      <FailingBanner />
      {/* What ticks is not read out every second; that the connection was lost, or is back, is. */}
      <p class="visually-hidden" role="status">
        {connection.value.state === 'gone' ? 'The connection to the proxy is lost.' : ''}
      </p>
    </section>
  );
}

function DisconnectedBanner(): JSX.Element | null {
  const { value } = connection;
  const offline = route.value.page === 'inspector' ? ' A recording can be opened without it.' : '';
  if (value.state === 'gone') {
    return (
      <p class="banner bad">
        <strong>The proxy is gone.</strong>
        <span>
          Reconnecting by itself since {clockTime(value.since)}. What you see is as it was then.{offline}
        </span>
      </p>
    );
  }
  if (value.state === 'connecting' && value.failed) {
    return (
      <p class="banner bad">
        <strong>The proxy cannot be reached.</strong>
        <span>
          Trying since {clockTime(value.since)}. Is it running, and is this the address that it printed?{offline}
        </span>
      </p>
    );
  }
  const { value: at } = restartedAt;
  if (at === null || Date.now() - at > RESTART_NOTICE_MS) return null;
  return (
    <p class="banner info">
      <strong>The proxy was restarted</strong>
      <span>at {clockTime(at)}. It knows a conversation again from its next request on.</span>
    </p>
  );
}

function PassthroughBanner(): JSX.Element | null {
  if (hello.value?.passthrough !== true) return null;
  return (
    <p class="banner warn">
      <strong>Passthrough is on.</strong>
      <span>
        Requests pass as they come; no checkpoint is computed and nothing is served. Start the proxy without{' '}
        <code>DBPROXY_PASSTHROUGH</code> to change that.
      </span>
    </p>
  );
}

/** Many calls have failed: the proxy holds back with further ones. */
function PausedBanner(): JSX.Element | null {
  const paused = totals.value?.checkpoints.paused;
  if (paused === undefined) return null;
  return (
    <p class="banner bad">
      <strong>Checkpoints pause.</strong>
      <span>
        Many have failed in a row;{' '}
        {paused.until === null ? (
          'one is tried now.'
        ) : (
          <>
            the next one is tried <Countdown at={paused.until} />.
          </>
        )}{' '}
        Until then a conversation without a checkpoint compacts by the API, as without the proxy.
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
  const { retryAt, failure, state } = first.call;
  return (
    <p class="banner warn">
      <strong>Checkpoints are failing</strong>
      <span>
        in {where}: {failure.message}
        {/[.!?]$/.test(failure.message) ? ' ' : '. '}
        {retryAt !== null ? (
          <>
            Tried again <Countdown at={retryAt} />.
          </>
        ) : state === 'given_up' ? (
          'Given up until the history changes; compactions go to the API.'
        ) : state === 'running' ? (
          'Being tried again now.'
        ) : (
          'Tried again after the next answer.'
        )}
      </span>
    </p>
  );
}
