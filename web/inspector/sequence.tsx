/** What happened, in order: who sent what to whom, and what it changed. Stops, filters, and steps through. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { InspectionRecord } from '../contract.ts';
import { count, plural, preciseTime } from '../format.ts';
import { Icon } from '../components/icons.tsx';
import { VirtualList } from '../components/virtual-list.tsx';
import { actors, follow, isFollowing, seek, openedFile, pause, position, records } from '../state/inspection.ts';
import { navigate } from '../state/current-route.ts';
import { actorName, difference } from './names.ts';
import { sessionOf } from './replay.ts';

const HEIGHT = 44;

const text = signal('');
const kind = signal<'all' | 'transitions'>('all');
const scope = signal(false);

interface SequenceEntry {
  readonly record: InspectionRecord;
  /** Place among all records. */
  readonly at: number;
}

/** An actor's name wherever one looks: of those that began later too. */
function nameOfSession(session: string): string {
  const known = actors.value.get(session);
  if (known !== undefined) return actorName(known);
  const began = records.value.find((record) => record.kind === 'started' && record.actor.session === session);
  return began?.kind === 'started' ? actorName(began.actor) : session;
}

function filteredEntries(selected: string | null): SequenceEntry[] {
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const result: SequenceEntry[] = [];
  records.value.forEach((record, at) => {
    if (kind.value === 'transitions' && (record.kind !== 'event' || record.edges.length === 0)) return;
    if (scope.value && selected !== null && !isAbout(record, selected)) return;
    if (words.length > 0) {
      const about = searchText(record);
      if (!words.every((word) => about.includes(word))) return;
    }
    result.push({ record, at });
  });
  return result;
}

const isAbout = (record: InspectionRecord, session: string): boolean =>
  sessionOf(record) === session || (record.kind === 'event' && record.sender === session);

function searchText(record: InspectionRecord): string {
  const session = sessionOf(record) ?? '';
  const name = nameOfSession(session);
  const more =
    record.kind === 'event' ? `${record.type} ${JSON.stringify(record.payload)} ${record.after.join(' ')}` : '';
  return `${record.kind} ${name} ${session} ${more}`.toLowerCase();
}

export function Sequence({ selected }: { readonly selected: string | null }): JSX.Element {
  const shown = filteredEntries(selected);
  const { value: here } = position;
  const standing = shown.findLastIndex(({ at }) => at < here);
  const step = (by: number): void => {
    const to = shown[standing + by];
    seek(to === undefined ? 0 : to.at + 1);
  };
  return (
    <section class="card sequence" aria-label="Sequence of events">
      <header>
        <h2>Sequence</h2>
        <span class="muted number">{count(shown.length)}</span>
        <span class="align-end">
          <button
            type="button"
            class="button"
            aria-pressed={!isFollowing.value}
            onClick={() => (isFollowing.value ? pause() : follow())}
          >
            <Icon name={isFollowing.value ? 'pause' : 'play'} />
            {isFollowing.value ? 'Pause' : openedFile.value === null ? 'Follow' : 'To the end'}
          </button>
        </span>
        <div class="filter toolbar">
          <label class="grow">
            <span class="visually-hidden">Search the sequence</span>
            <input
              class="field"
              type="search"
              placeholder="Search events, actors, payloads"
              value={text.value}
              onInput={(event) => (text.value = event.currentTarget.value)}
            />
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={kind.value === 'transitions'}
              onChange={(event) => (kind.value = event.currentTarget.checked ? 'transitions' : 'all')}
            />
            transitions
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={scope.value}
              onChange={(event) => (scope.value = event.currentTarget.checked)}
            />
            this actor
          </label>
        </div>
        <Stepper standing={standing} last={shown.length - 1} step={step} />
      </header>
      {shown.length === 0 ? (
        <p class="placeholder muted">
          {records.value.length === 0 ? 'Nothing has happened since you began to look.' : 'No event matches.'}
        </p>
      ) : (
        <VirtualList
          label="Events, oldest first"
          count={shown.length}
          height={HEIGHT}
          stickToEnd={isFollowing.value}
          reveal={isFollowing.value ? null : Math.max(0, standing)}
          row={(index) => {
            const it = shown[index];
            return it === undefined ? null : (
              <RecordRow
                key={it.record.seq}
                found={it}
                index={index}
                current={index === standing}
                ahead={it.at >= here}
              />
            );
          }}
        />
      )}
    </section>
  );
}

interface StepperProps {
  readonly standing: number;
  readonly last: number;
  readonly step: (by: number) => void;
}

function Stepper({ standing, last, step }: StepperProps): JSX.Element {
  const { value: here } = position;
  const all = records.value.length;
  return (
    <div class="stepper" role="group" aria-label="Look back">
      <button
        type="button"
        class="button icon"
        aria-label="To the beginning"
        disabled={here === 0}
        onClick={() => seek(0)}
      >
        <Icon name="first" />
      </button>
      <button
        type="button"
        class="button icon"
        aria-label="One event back"
        disabled={here === 0}
        onClick={() => step(-1)}
      >
        <Icon name="back" />
      </button>
      <button
        type="button"
        class="button icon"
        aria-label="One event forward"
        disabled={standing >= last}
        onClick={() => step(1)}
      >
        <Icon name="forward" />
      </button>
      <input
        type="range"
        aria-label="Place in the history"
        aria-valuetext={`after ${count(here)} of ${count(all)} events`}
        min={0}
        max={all}
        value={here}
        disabled={all === 0}
        onInput={(event) => seek(event.currentTarget.valueAsNumber)}
      />
      <span class="number muted">
        {count(here)} / {count(all)}
      </span>
    </div>
  );
}

interface RecordRowProps {
  readonly found: SequenceEntry;
  readonly index: number;
  readonly current: boolean;
  readonly ahead: boolean;
}

function RecordRow({ found: { record, at }, index, current, ahead }: RecordRowProps): JSX.Element {
  const session = sessionOf(record);
  const show = (): void => {
    seek(at + 1);
    if (session !== null) navigate({ page: 'inspector', actor: session });
  };
  return (
    <li class={`record-row ${ahead ? 'ahead' : ''} ${record.kind}`}>
      <button type="button" data-row={index} aria-current={current ? 'true' : undefined} onClick={show}>
        <span class="mono record-type">{recordLabel(record)}</span>
        <span class="mono muted record-time">{preciseTime(record.at)}</span>
        <span class="record-route">
          {record.kind === 'event' && (
            <>
              {record.sender === null ? 'outside' : nameOfSession(record.sender)} <span aria-label="to">→</span>{' '}
            </>
          )}
          {session === null ? 'of actors that are not looked at' : nameOfSession(session)}
        </span>
        <span class="mono record-change">{record.kind === 'event' && <Change record={record} />}</span>
      </button>
    </li>
  );
}

function recordLabel(record: InspectionRecord): string {
  switch (record.kind) {
    case 'event':
      return record.type;
    case 'started':
      return 'began';
    case 'ended':
      return record.status === 'done' ? 'ended' : record.status === 'error' ? 'failed' : 'stopped';
    case 'left_out':
      return `${plural(record.events, 'event')} left out`;
  }
}

function Change({ record }: { readonly record: Extract<InspectionRecord, { kind: 'event' }> }): JSX.Element | null {
  const { left, entered } = difference(record.before, record.after);
  if (entered.length === 0 && left.length === 0) return null;
  return (
    <>
      <span class="muted">{left.join(' · ')}</span> → {entered.join(' · ') || '∅'}
    </>
  );
}
