/** The list of events: sender, receiver and changed states, with filters, pause and stepping. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import type { InspectionRecord } from '../contract.ts';
import { count, plural, preciseTime } from '../format.ts';
import { Icon, IconButton } from '../components/icons.tsx';
import { SearchField } from '../components/search-field.tsx';
import { VirtualList } from '../components/virtual-list.tsx';
import { hasEveryWord, wordsOf } from '../text-search.ts';
import { actors, follow, isFollowing, seek, openedFile, pause, position, records } from '../state/inspection.ts';
import { navigate } from '../state/current-route.ts';
import { actorName, difference } from './names.ts';
import { sessionOf } from './replay.ts';

const HEIGHT = 44;

const text = signal('');
const transitionsOnly = signal(false);
const selectedOnly = signal(false);

interface ListedRecord {
  readonly record: InspectionRecord;
  /** Index among all records. */
  readonly at: number;
}

/** An actor's name, also when it started after the current position. */
function nameOfSession(session: string): string {
  const known = actors.value.get(session);
  if (known !== undefined) return actorName(known);
  const start = records.value.find((record) => record.kind === 'started' && record.actor.session === session);
  return start?.kind === 'started' ? actorName(start.actor) : session;
}

function filteredRecords(selected: string | null): ListedRecord[] {
  const words = wordsOf(text.value);
  const result: ListedRecord[] = [];
  records.value.forEach((record, at) => {
    if (transitionsOnly.value && (record.kind !== 'event' || record.edges.length === 0)) return;
    if (selectedOnly.value && selected !== null && !involves(record, selected)) return;
    if (words.length > 0 && !hasEveryWord(searchText(record), words)) return;
    result.push({ record, at });
  });
  return result;
}

const involves = (record: InspectionRecord, session: string): boolean =>
  sessionOf(record) === session || (record.kind === 'event' && record.sender === session);

function searchText(record: InspectionRecord): string {
  const session = sessionOf(record) ?? '';
  const name = nameOfSession(session);
  const more =
    record.kind === 'event' ? `${record.type} ${JSON.stringify(record.payload)} ${record.after.join(' ')}` : '';
  return `${record.kind} ${name} ${session} ${more}`;
}

export function EventList({ selected }: { readonly selected: string | null }): JSX.Element {
  const shown = filteredRecords(selected);
  const { value: now } = position;
  const current = shown.findLastIndex(({ at }) => at < now);
  const step = (by: number): void => {
    const target = shown[current + by];
    seek(target === undefined ? 0 : target.at + 1);
  };
  return (
    <section class="card event-list" aria-label="Events">
      <header>
        <h2>Events</h2>
        <span class="muted number">{count(shown.length)}</span>
        <span class="align-end">
          <button
            type="button"
            class="button"
            aria-pressed={!isFollowing.value}
            onClick={() => (isFollowing.value ? pause() : follow())}
          >
            <Icon name={isFollowing.value ? 'pause' : 'play'} />
            {isFollowing.value ? 'Pause' : openedFile.value === null ? 'Follow' : 'Go to end'}
          </button>
        </span>
        <SearchField label="Search events" text={text} placeholder="Search events, actors, payloads" />
        <div class="toolbar">
          <label class="check">
            <input
              type="checkbox"
              checked={transitionsOnly.value}
              onChange={(event) => (transitionsOnly.value = event.currentTarget.checked)}
            />
            transitions only
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={selectedOnly.value}
              onChange={(event) => (selectedOnly.value = event.currentTarget.checked)}
            />
            this actor only
          </label>
        </div>
        <Stepper current={current} last={shown.length - 1} onStep={step} />
      </header>
      {shown.length === 0 ? (
        <p class="placeholder muted">
          {records.value.length === 0 ? 'No events since the inspector was opened.' : 'No event matches.'}
        </p>
      ) : (
        <VirtualList
          label="Events, oldest first"
          count={shown.length}
          height={HEIGHT}
          stickToEnd={isFollowing.value}
          reveal={isFollowing.value ? null : Math.max(0, current)}
          row={(index) => {
            const listed = shown[index];
            return listed === undefined ? null : (
              <RecordRow
                key={listed.record.seq}
                listed={listed}
                index={index}
                current={index === current}
                ahead={listed.at >= now}
              />
            );
          }}
        />
      )}
    </section>
  );
}

interface StepperProps {
  readonly current: number;
  readonly last: number;
  readonly onStep: (by: number) => void;
}

function Stepper({ current, last, onStep }: StepperProps): JSX.Element {
  const { value: now } = position;
  const total = records.value.length;
  return (
    <div class="stepper" role="group" aria-label="Step through the events">
      <IconButton icon="first" name="Go to start" disabled={now === 0} onClick={() => seek(0)} />
      <IconButton icon="back" name="Previous event" disabled={now === 0} onClick={() => onStep(-1)} />
      <IconButton icon="forward" name="Next event" disabled={current >= last} onClick={() => onStep(1)} />
      <input
        type="range"
        aria-label="Position"
        aria-valuetext={`after ${count(now)} of ${count(total)} events`}
        min={0}
        max={total}
        value={now}
        disabled={total === 0}
        onInput={(event) => seek(event.currentTarget.valueAsNumber)}
      />
      <span class="number muted">
        {count(now)} / {count(total)}
      </span>
    </div>
  );
}

interface RecordRowProps {
  readonly listed: ListedRecord;
  readonly index: number;
  readonly current: boolean;
  /** After the current position. */
  readonly ahead: boolean;
}

function RecordRow({ listed: { record, at }, index, current, ahead }: RecordRowProps): JSX.Element {
  const session = sessionOf(record);
  const select = (): void => {
    seek(at + 1);
    if (session !== null) navigate({ page: 'inspector', actor: session });
  };
  return (
    <li class={`record-row ${ahead ? 'ahead' : ''} ${record.kind}`}>
      <button type="button" data-row={index} aria-current={current ? 'true' : undefined} onClick={select}>
        <span class="mono record-type">{recordLabel(record)}</span>
        <span class="mono muted record-time">{preciseTime(record.at)}</span>
        <span class="record-route">
          {record.kind === 'event' && (
            <>
              {record.sender === null ? 'external' : nameOfSession(record.sender)} <span aria-label="to">→</span>{' '}
            </>
          )}
          {session === null ? 'other actors' : nameOfSession(session)}
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
      return 'started';
    case 'ended':
      return record.status === 'done' ? 'ended' : record.status === 'error' ? 'failed' : 'stopped';
    case 'left_out':
      return `${plural(record.events, 'event')} omitted`;
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
