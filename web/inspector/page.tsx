/**
 * The inspector: the actors on the left, the statechart of one of them in the middle, what happened on the right. It
 * looks at what runs, or at a recording; a recording needs no proxy.
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
import { StateChart } from './statechart.tsx';
import { actorName, leaves } from './names.ts';
import { makeRecording, parseRecording, RecordingError } from './recording.ts';
import { Sequence } from './sequence.tsx';
import { ActorTree } from './tree.tsx';

export function InspectorPage(): JSX.Element {
  const problem = useSignal<string | null>(null);
  const dropping = useFileDrop((file) => void openRecording(file, problem));
  const { value: actor } = selected;
  const empty = !hasLiveData.value && openedFile.value === null;
  return (
    <div class="inspector">
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
          <strong>Not opened.</strong> {problem.value}
        </p>
      )}
      {empty ? (
        <InspectorEmptyState />
      ) : (
        <div class="inspector-grid">
          <ActorTree selected={actor?.session ?? null} />
          <ActorPanel actor={actor} />
          <Sequence selected={actor?.session ?? null} />
        </div>
      )}
      {dropping.value && (
        <div class="drop-overlay" aria-hidden="true">
          <p>Drop a recording to open it</p>
        </div>
      )}
    </div>
  );
}

function Source(): JSX.Element {
  const { value: file } = openedFile;
  if (file === null) {
    return (
      <p class="muted">
        {connection.value.state === 'live' ? 'what runs now' : 'as it was when the proxy was last seen'}
      </p>
    );
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
      <h2>{connection.value.state === 'live' ? 'Looking inside …' : 'No proxy, and no recording yet'}</h2>
      {connection.value.state !== 'live' && (
        <p>
          Open a recording, or drop one anywhere on this page: it shows the statecharts, the actors and everything that
          happened, as they were when it was exported. As soon as a proxy answers, it is looked at instead.
        </p>
      )}
    </div>
  );
}

function ActorPanel({ actor }: { readonly actor: ActorView | null }): JSX.Element {
  if (actor === null) {
    return (
      <section class="card actor-panel">
        <p class="placeholder muted">No actor is there at this moment.</p>
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
        <span class="align-end muted mono">{leaves(actor.states).join(' · ')}</span>
      </header>
      {graph === undefined ? (
        <div class="canvas placeholder muted">
          A {actor.kind} has no statechart. What it was sent, and what it sent, is in the sequence.
        </div>
      ) : (
        <StateChart key={graph.id} graph={graph} active={actor.states} taken={last?.edges ?? []} />
      )}
      <RecordDetail record={detailOf(actor, last)} />
    </section>
  );
}

/** The record that one stands on when it is about this actor; else the last one that moved it. */
function detailOf(actor: ActorView, last: InspectionRecord | null): InspectionRecord | null {
  const { value: here } = currentRecord;
  return here?.kind === 'event' && here.receiver === actor.session ? here : last;
}

function RecordDetail({ record }: { readonly record: InspectionRecord | null }): JSX.Element {
  if (record?.kind !== 'event') {
    return <p class="record-detail muted">No event has changed it since the history began.</p>;
  }
  const sender = record.sender === null ? 'outside' : (actors.value.get(record.sender)?.id ?? record.sender);
  return (
    <div class="record-detail" tabIndex={0} role="region" aria-label="What changed it last">
      <div>
        <h3>
          <code>{record.type}</code>
        </h3>
        <p class="muted">
          {preciseTime(record.at)} · from {sender}
          {record.edges.length === 0 && ' · nothing came of it'}
        </p>
        <Fields of={record.payload} none="no payload" />
      </div>
      <div>
        <h3>States</h3>
        <p class="mono states">
          <span class="muted">{leaves(record.before).join(' · ') || '—'}</span>
          <br />→ {leaves(record.after).join(' · ') || '—'}
        </p>
      </div>
      <div>
        <h3>Context afterwards</h3>
        <Fields of={record.context} none="nothing" />
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

/** Times are read as such, all else as it is. */
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
          // The same file may be opened again.
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

/** Files may be dropped anywhere on the page. True while one hovers over it. */
function useFileDrop(take: (file: File) => void): { readonly value: boolean } {
  const over = useSignal(false);
  useEffect(() => {
    const hasFile = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
    const drag = (event: DragEvent): void => {
      if (!hasFile(event)) return;
      event.preventDefault();
      over.value = true;
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) over.value = false;
    };
    const drop = (event: DragEvent): void => {
      if (!hasFile(event)) return;
      event.preventDefault();
      over.value = false;
      const file = event.dataTransfer?.files[0];
      if (file !== undefined) take(file);
    };
    document.addEventListener('dragover', drag);
    document.addEventListener('dragleave', leave);
    document.addEventListener('drop', drop);
    return () => {
      document.removeEventListener('dragover', drag);
      document.removeEventListener('dragleave', leave);
      document.removeEventListener('drop', drop);
    };
  }, []);
  return over;
}
