/** The event log: what the proxy did, line by line, newest first; filtered, and stopped while one reads. */
import { signal, useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { memo } from 'preact/compat';
import type { LogEntry } from '../contract.ts';
import { count, dateTime, plural, preciseTime } from '../format.ts';
import { Icon } from '../components/icons.tsx';
import { track } from '../state/track.ts';
import { routeUrl } from '../state/route-url.ts';
import { navigate } from '../state/current-route.ts';
import { conversation, log, conversationSignals, nameOf } from '../state/store.ts';
import { filterLog, kindOf, type Level } from './filter.ts';

/** How many lines are drawn at first, and more with each wish for earlier ones. */
const PAGE_SIZE = 60;
const LEVELS: readonly { readonly level: Level; readonly name: string }[] = [
  { level: 'info', name: 'All' },
  { level: 'warn', name: 'Warnings' },
  { level: 'error', name: 'Errors' },
];

// Filters stay while one goes to another page and back.
const level = signal<Level>('info');
const kind = signal('');
const text = signal('');
/** The log as it was when it was paused; null: it runs. */
const paused = signal<readonly LogEntry[] | null>(null);

export function LogPage({ conversation: only }: { readonly conversation: string | null }): JSX.Element {
  const drawn = useSignal(PAGE_SIZE);
  const entries = paused.value ?? log.value;
  const found = filterLog(entries, { level: level.value, kind: kind.value, text: text.value, conversation: only });
  const newest = found.slice(-drawn.value).reverse();
  const behind = paused.value === null ? 0 : log.value.filter(({ seq }) => seq > (entries.at(-1)?.seq ?? 0)).length;
  return (
    <>
      <div class="page-head">
        <h1>Log</h1>
        <p class="muted">{plural(found.length, 'event')}</p>
      </div>
      <Filters entries={entries} only={only} behind={behind} />
      <section class="card log-card" aria-label="Events, newest first">
        {newest.length === 0 ? (
          <p class="placeholder muted">
            {entries.length === 0 ? 'Nothing has happened yet.' : 'No event matches these filters.'}
          </p>
        ) : (
          <ol class="log">
            {newest.map((entry) => (
              <LogLine key={entry.seq} entry={entry} />
            ))}
          </ol>
        )}
        {found.length > drawn.value && (
          <button type="button" class="button load-earlier" onClick={() => (drawn.value += 4 * PAGE_SIZE)}>
            Show earlier ones
          </button>
        )}
      </section>
    </>
  );
}

interface FiltersProps {
  readonly entries: readonly LogEntry[];
  readonly only: string | null;
  readonly behind: number;
}

function Filters({ entries, only, behind }: FiltersProps): JSX.Element {
  const kinds = [...new Set(entries.map(kindOf))].sort();
  const named = new Set(entries.flatMap((entry) => entry.conversation ?? []));
  if (only !== null) named.add(only);
  const options = [...named]
    .map((id) => ({ id, name: nameOf(id) }))
    .sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
  const twins = new Set(options.filter(({ name }, at) => options[at - 1]?.name === name).map(({ name }) => name));
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
        <span class="visually-hidden">Kind of event</span>
        <select class="field" value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
          <option value="">Every kind</option>
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
          <option value="">Every conversation</option>
          {options.map(({ id, name }) => (
            <option key={id} value={id}>
              {twins.has(name) ? `${name} · ${id.slice(0, 8)}` : name}
            </option>
          ))}
        </select>
      </label>
      <label class="search">
        <Icon name="search" />
        <span class="visually-hidden">Search events</span>
        <input
          class="field"
          type="search"
          placeholder="Search"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </label>
      <button
        type="button"
        class="button pause"
        aria-pressed={paused.value !== null}
        onClick={() => (paused.value = paused.value === null ? log.value : null)}
      >
        <Icon name={paused.value === null ? 'pause' : 'play'} />
        {paused.value === null ? 'Pause' : behind > 0 ? `Go on (${count(behind)} new)` : 'Go on'}
      </button>
    </div>
  );
}

const LEVEL_NAME: Readonly<Record<Level, string>> = { info: 'info', warn: 'warning', error: 'error' };

const LogLine = memo(function Line({ entry }: { readonly entry: LogEntry }): JSX.Element {
  const { at, level: weight, event, conversation: id, fields } = entry;
  track(conversationSignals);
  return (
    <li class={`log-line ${weight}`}>
      <time class="mono muted" dateTime={new Date(at).toISOString()} title={dateTime(at)}>
        {preciseTime(at)}
      </time>
      <span class="log-level">{LEVEL_NAME[weight]}</span>
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
