/**
 * The inspector: the actors on the left, the statechart of the selected one in the middle, the events on the right. It
 * shows the live system, or a recording, which needs no proxy.
 */
import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { ActorView, InspectionRecord, LogValue } from '../contract.ts';
import { dateTime, preciseTime } from '../format.ts';
import { Icon } from '../components/icons.tsx';
import { proxyNow } from '../state/clock.ts';
import {
  actors,
  closeFile,
  currentRecord,
  hasLiveData,
  lastEventOf,
  machines,
  openedFile,
  openFile,
  recordingParts,
  selected,
} from '../state/inspection.ts';
import { connection } from '../state/connection.ts';
import { Statechart } from './statechart.tsx';
import { EventList } from './event-list.tsx';
import { actorName, innermostStates } from './names.ts';
import { makeRecording, parseRecording, RecordingError } from './recording.ts';

import { ActorTree } from './actor-tree.tsx';

export function InspectorPage(): JSX.Element {
  const problem = useSignal<string | null>(null);
  const isDragging = useFileDrop((file) => void openRecording(file, problem));
  const { value: actor } = selected;
  const empty = !hasLiveData.value && openedFile.value === null;
  return (
    <>
      <div class="page-head">
        <h1>Inspector</h1>
        <Source />
        <span class="align-end toolbar">
          <OpenButton onFile={(file) => void openRecording(file, problem)} />
          <button type="button" class="button" disabled={empty} onClick={downloadRecording}>
            <Icon name="download" /> Export
          </button>
        </span>
      </div>
      {problem.value !== null && (
        <p class="notice bad" role="alert">
          <strong>The file could not be opened.</strong> {problem.value}
        </p>
      )}
      {empty ? (
        <InspectorEmptyState />
      ) : (
        <div class="inspector-grid">
          <ActorTree selected={actor?.session ?? null} />
          <ActorPanel actor={actor} />
          <EventList selected={actor?.session ?? null} />
        </div>
      )}
      {isDragging.value && (
        <div class="drop-overlay" aria-hidden="true">
          <p>Drop a recording to open it</p>
        </div>
      )}
    </>
  );
}

function Source(): JSX.Element {
  const { value: file } = openedFile;
  if (file === null) {
    return <p class="muted">{connection.value.state === 'live' ? 'live' : 'state before the connection was lost'}</p>;
  }
  return (
    <p class="recording-name">
      <span class="tag">recording</span> {file.name}
      <span class="muted">
        {' '}
        · proxy {file.version} · {dateTime(file.exported)}
      </span>
      <button type="button" class="button" onClick={closeFile}>
        <Icon name="close" /> Close recording
      </button>
    </p>
  );
}

function InspectorEmptyState(): JSX.Element {
  return (
    <div class="empty">
      <h2>{connection.value.state === 'live' ? 'Loading …' : 'No proxy and no recording'}</h2>
      {connection.value.state !== 'live' && (
        <p>
          Open a recording, or drop one on this page: it shows the statecharts, actors and events as they were when it
          was exported. When a proxy answers, the live system is shown here.
        </p>
      )}
    </div>
  );
}

function ActorPanel({ actor }: { readonly actor: ActorView | null }): JSX.Element {
  if (actor === null) {
    return (
      <section class="card actor-panel">
        <p class="placeholder muted">No actor is running at this point.</p>
      </section>
    );
  }
  const graph = actor.machine === null ? undefined : machines.value[actor.machine];
  const last = lastEventOf(actor.session);
  return (
    <section class="card actor-panel" aria-label="Actor">
      <header>
        <h2>{actorName(actor)}</h2>
        <span class="tag">{actor.machine ?? actor.kind}</span>
        {actor.status !== 'active' && <span class={`tag ${actor.status}`}>{actor.status}</span>}
        <code class="muted">{actor.session}</code>
        <span class="align-end muted mono">{innermostStates(actor.states).join(' · ')}</span>
      </header>
      {graph === undefined ? (
        <div class="canvas placeholder muted">
          Actors of kind “{actor.kind}” have no statechart. Their events are in the list of events.
        </div>
      ) : (
        <Statechart key={graph.id} graph={graph} active={actor.states} taken={last?.edges ?? []} />
      )}
      <RecordDetail record={detailOf(actor, last)} />
    </section>
  );
}

/** The current record if this actor received it, else the last one that caused a transition of the actor. */
function detailOf(actor: ActorView, last: InspectionRecord | null): InspectionRecord | null {
  const { value: current } = currentRecord;
  return current?.kind === 'event' && current.receiver === actor.session ? current : last;
}

function RecordDetail({ record }: { readonly record: InspectionRecord | null }): JSX.Element {
  if (record?.kind !== 'event') {
    return <p class="record-detail muted">This actor has had no transition yet.</p>;
  }
  const sender = record.sender === null ? 'external' : (actors.value.get(record.sender)?.id ?? record.sender);
  return (
    <div class="record-detail" tabIndex={0} role="region" aria-label="Last event">
      <div>
        <h3>
          <code>{record.type}</code>
        </h3>
        <p class="muted">
          {preciseTime(record.at)} · from {sender}
          {record.edges.length === 0 && ' · no transition'}
        </p>
        <Fields of={record.payload} none="no payload" />
      </div>
      <div>
        <h3>States</h3>
        <p class="mono states">
          <span class="muted">{innermostStates(record.before).join(' · ') || '—'}</span>
          <br />→ {innermostStates(record.after).join(' · ') || '—'}
        </p>
      </div>
      <div>
        <h3>Context after it</h3>
        <Fields of={record.context} none="empty" />
      </div>
    </div>
  );
}

interface FieldsProps {
  readonly of: Readonly<Record<string, LogValue>>;
  readonly none: string;
}

function Fields({ of, none }: FieldsProps): ComponentChildren {
  const fields = Object.entries(of);
  if (fields.length === 0) return <p class="muted">{none}</p>;
  return (
    <dl class="fields mono">
      {fields.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{formatValue(name, value)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Shows timestamps as times of day. */
function formatValue(name: string, value: LogValue): string {
  if (typeof value === 'number' && /^(at|resumesAt)$/.test(name)) return preciseTime(value);
  return Array.isArray(value) ? value.join(', ') : String(value);
}

function OpenButton({ onFile }: { readonly onFile: (file: File) => void }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class="button" onClick={() => input.current?.click()}>
        <Icon name="open" /> Open recording
      </button>
      <input
        ref={input}
        type="file"
        accept=".json,application/json"
        class="visually-hidden"
        tabIndex={-1}
        aria-label="Recording"
        onChange={({ currentTarget: it }) => {
          const file = it.files?.[0];
          // So that choosing the same file again is a change.
          it.value = '';
          if (file !== undefined) onFile(file);
        }}
      />
    </>
  );
}

async function openRecording(file: File, problem: { value: string | null }): Promise<void> {
  try {
    openFile(file.name, parseRecording(await file.text()));
    problem.value = null;
  } catch (error) {
    problem.value = error instanceof RecordingError ? error.message : 'The file could not be read.';
  }
}

function downloadRecording(): void {
  const recording = makeRecording(recordingParts(), proxyNow());
  const url = URL.createObjectURL(new Blob([JSON.stringify(recording)], { type: 'application/json' }));
  const anchor = document.createElement('a');
  anchor.href = url;
  anchor.download = `claude-db-proxy-${new Date(recording.exported).toISOString().slice(0, 19).replaceAll(':', '')}.json`;
  anchor.click();
  URL.revokeObjectURL(url);
}

/** Accepts files dropped anywhere on the page. True while one is dragged over it. */
function useFileDrop(onFile: (file: File) => void): { readonly value: boolean } {
  const isDragging = useSignal(false);
  useEffect(() => {
    const hasFile = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
    const onDragOver = (event: DragEvent): void => {
      if (!hasFile(event)) return;
      event.preventDefault();
      isDragging.value = true;
    };
    const onDragLeave = (event: DragEvent): void => {
      if (event.relatedTarget === null) isDragging.value = false;
    };
    const onDrop = (event: DragEvent): void => {
      if (!hasFile(event)) return;
      event.preventDefault();
      isDragging.value = false;
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) onFile(file);
    };
    const abort = new AbortController();
    const { signal } = abort;
    document.addEventListener('dragover', onDragOver, { signal });
    document.addEventListener('dragleave', onDragLeave, { signal });
    document.addEventListener('drop', onDrop, { signal });
    return () => abort.abort();
  }, []);
  return isDragging;
}
