/** The statistics page: totals over all conversations, their history, and errors of the API. */
import type { ComponentChildren, JSX } from 'preact';
import type { Totals } from '../contract.ts';
import { TokenBar } from '../conversation/token-bar.tsx';
import { count, dateTime, duration, percent } from '../format.ts';
import { TimeAgo } from '../components/relative-time.tsx';
import { totals } from '../state/store.ts';
import { forwardReasonText } from '../forward-reasons.ts';
import { statusText } from '../labels.ts';
import { HistoryCard } from './history.tsx';

export function StatisticsPage(): JSX.Element {
  const { value } = totals;
  return (
    <>
      <div class="page-head">
        <h1>Statistics</h1>
        {value !== null && <p class="muted">since {dateTime(value.since)}</p>}
      </div>
      {value === null ? <p class="empty muted">Loading …</p> : <Statistics totals={value} />}
    </>
  );
}

function Statistics({ totals: it }: { readonly totals: Totals }): JSX.Element {
  const { checkpoints, compactions } = it;
  const finished = checkpoints.used + checkpoints.wasted;
  return (
    <div class="statistics-grid">
      <section class="card tile hero">
        <h2>Time saved</h2>
        <p class="value">{duration(it.savedMs)}</p>
        <p class="muted">
          {compactions.served === 0
            ? 'No compaction has been served yet.'
            : `${duration(it.savedMs / compactions.served)} on average per compaction`}
        </p>
      </section>
      <section class="card tile">
        <h2>Checkpoints</h2>
        <p class="value">
          {count(checkpoints.made)} <span class="muted">made</span>
        </p>
        <Counts
          values={[
            ['used', checkpoints.used],
            ['wasted', checkpoints.wasted],
            ['failed', checkpoints.failed],
            ['ready', checkpoints.held],
            ['running', checkpoints.running],
          ]}
        />
        {finished > 0 && (
          <div
            class="share-bar"
            role="img"
            aria-label={`${percent(checkpoints.used / finished)} used, the others wasted`}
          >
            <i style={{ width: `${(100 * checkpoints.used) / finished}%` }} />
          </div>
        )}
      </section>
      <section class="card tile">
        <h2>Compactions</h2>
        <p class="value">
          {count(compactions.served)} <span class="muted">served by the proxy</span>
        </p>
        <Counts values={[['accepted by the client', compactions.confirmed]]} />
        <ul class="reasons">
          {Object.entries(compactions.forwarded).map(([reason, times]) => (
            <li key={reason}>
              <span class="number">{count(times ?? 0)}</span> served by the API: {forwardReasonText(reason)}
            </li>
          ))}
        </ul>
      </section>
      <section class="card tile">
        <h2>Tokens spent on checkpoints</h2>
        <TokenBar tokens={it.tokens} />
        <p class="muted">
          {count(it.tokens.cacheRead + it.tokens.cacheCreation + it.tokens.input)} in, {count(it.tokens.output)} out
        </p>
      </section>
      <HistoryCard />
      <section class="card errors-card">
        <header>
          <h2>API errors</h2>
        </header>
        <div class="body">
          <ApiErrors totals={it} />
        </div>
      </section>
    </div>
  );
}

function Counts({ values }: { readonly values: readonly (readonly [string, number])[] }): JSX.Element {
  return (
    <dl class="tile-counts">
      {values.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd class="number">{count(value)}</dd>
        </div>
      ))}
    </dl>
  );
}

function ApiErrors({ totals: { apiErrors, requests } }: { readonly totals: Totals }): ComponentChildren {
  if (apiErrors.length === 0) {
    return <p class="muted">None in {count(requests)} requests.</p>;
  }
  return (
    <table class="table">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Meaning</th>
          <th scope="col" class="align-right">
            Count
          </th>
          <th scope="col" class="align-right">
            Last
          </th>
        </tr>
      </thead>
      <tbody>
        {apiErrors.map(({ status, count: times, last }) => (
          <tr key={status}>
            <td class="mono">{status === 0 ? '—' : status}</td>
            <td>{statusText(status)}</td>
            <td class="align-right number">{count(times)}</td>
            <td class="align-right number">
              <TimeAgo at={last} past />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
