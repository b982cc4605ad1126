/** The event log, newest first, with filters and a pause button. */
import { signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import type { LogEntry } from '../contract.ts';
import { count, dateTime, plural, preciseTime } from '../format.ts';
import { Icon } from '../components/icons.tsx';
import { SearchField } from '../components/search-field.tsx';
import { track } from '../state/track.ts';
import { routeUrl } from '../state/route-url.ts';
import { navigate } from '../state/current-route.ts';
import { conversation, log, conversationSignals, nameOf } from '../state/store.ts';
import { filterLog, kindOf, type Level } from './filter.ts';

/** Lines rendered at first. */
const PAGE_SIZE = 60;
const LEVELS: readonly { readonly level: Level; readonly name: string }[] = [
  { level: 'info', name: 'All' },
  { level: 'warn', name: 'Warnings' },
  { level: 'error', name: 'Errors' },
];

// Module state, so that the filters survive a visit to another page.
const level = signal<Level>('info');
const kind = signal('');
const text = signal('');
/** The log at the moment it was paused; null: not paused. */
const paused = signal<readonly LogEntry[] | null>(null);

export function LogPage({ conversation: only }: { readonly conversation: string | null }): JSX.Element {
  const limit = useSignal(PAGE_SIZE);
  const entries = paused.value ?? log.value;
  const matching = filterLog(entries, { level: level.value, kind: kind.value, text: text.value, conversation: only });
  const newest = matching.slice(-limit.value).reverse();
  const unread = paused.value === null ? 0 : log.value.filter(({ seq }) => seq > (entries.at(-1)?.seq ?? 0)).length;
  return (
    <>
      <div class="page-head">
        <h1>Log</h1>
        <p class="muted">{plural(matching.length, 'event')}</p>
      </div>
      <Filters entries={entries} only={only} unread={unread} />
      <section class="card log-card" aria-label="Events, newest first">
        {newest.length === 0 ? (
          <p class="placeholder muted">{entries.length === 0 ? 'No events yet.' : 'No event matches these filters.'}</p>
        ) : (
          <ol class="log">
            {newest.map((entry) => (
              <LogLine key={entry.seq} entry={entry} />
            ))}
          </ol>
        )}
        {matching.length > limit.value && (
          <button type="button" class="button load-earlier" onClick={() => (limit.value += 4 * PAGE_SIZE)}>
            Show earlier events
          </button>
        )}
      </section>
    </>
  );
}

interface FiltersProps {
  readonly entries: readonly LogEntry[];
  readonly only: string | null;
  /** Entries since the pause. */
  readonly unread: number;
}

function Filters({ entries, only, unread }: FiltersProps): JSX.Element {
  const kinds = [...new Set(entries.map(kindOf))].sort();
  const ids = new Set(entries.flatMap((entry) => entry.conversation ?? []));
  if (only !== null) ids.add(only);
  const options = [...ids]
    .map((id) => ({ id, name: nameOf(id) }))
    .sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
  const ambiguous = new Set(options.filter(({ name }, at) => options[at - 1]?.name === name).map(({ name }) => name));
  return (
    <div class="toolbar log-tools">
      <div class="segments" role="group" aria-label="Level">
        {LEVELS.map(({ level: from, name }) => (
          <button key={from} type="button" aria-pressed={level.value === from} onClick={() => (level.value = from)}>
            {name}
          </button>
        ))}
      </div>
      <label>
        <span class="visually-hidden">Event kind</span>
        <select class="field" value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
          <option value="">All kinds</option>
          {kinds.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span class="visually-hidden">Conversation</span>
        <select
          class="field"
          value={only ?? ''}
          onChange={(event) => navigate({ page: 'log', conversation: event.currentTarget.value || null })}
        >
          <option value="">All conversations</option>
          {options.map(({ id, name }) => (
            <option key={id} value={id}>
              {ambiguous.has(name) ? `${name} · ${id.slice(0, 8)}` : name}
            </option>
          ))}
        </select>
      </label>
      <SearchField label="Search events" text={text} />
      <button
        type="button"
        class="button pause"
        aria-pressed={paused.value !== null}
        onClick={() => (paused.value = paused.value === null ? log.value : null)}
      >
        <Icon name={paused.value === null ? 'pause' : 'play'} />
        {paused.value === null ? 'Pause' : unread > 0 ? `Resume (${count(unread)} new)` : 'Resume'}
      </button>
    </div>
  );
}

const LEVEL_NAME: Readonly<Record<Level, string>> = { info: 'info', warn: 'warning', error: 'error' };

const LogLine = memo(function LogLine({ entry }: { readonly entry: LogEntry }): JSX.Element {
  const { at, level: severity, event, conversation: id, fields } = entry;
  track(conversationSignals);
  return (
    <li class={`log-line ${severity === 'error' ? 'bad' : severity}`}>
      <time class="mono muted" dateTime={new Date(at).toISOString()} title={dateTime(at)}>
        {preciseTime(at)}
      </time>
      <span class="log-level">{LEVEL_NAME[severity]}</span>
      <span class="mono log-event">{event}</span>
      <span class="log-conversation">
        {id === null ? null : conversation(id) === undefined ? (
          <span class="muted">{nameOf(id)}</span>
        ) : (
          <a href={routeUrl({ page: 'conversations', id })}>{nameOf(id)}</a>
        )}
      </span>
      <span class="log-fields mono">
        {Object.entries(fields).map(([name, value]) => (
          <span key={name}>
            <span class="muted">{name}=</span>
            {Array.isArray(value) ? value.join(', ') : String(value)}
          </span>
        ))}
      </span>
    </li>
  );
});
