/** The actors: the supervisor and those below it, as they were where one looks. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { ActorView } from '../contract.ts';
import { plural } from '../format.ts';
import { VirtualList } from '../components/virtual-list.tsx';
import { actors } from '../state/inspection.ts';
import { routeUrl } from '../state/route-url.ts';
import { actorName, leaves } from './names.ts';
import type { Actors } from './replay.ts';

const HEIGHT = 44;

export interface TreeRow {
  readonly actor: ActorView;
  readonly depth: number;
}

/** The tree, flat, parents first; those that have ended only when wanted. An actor whose parent is unknown is a root. */
export function treeOf(all: Actors, keep: (actor: ActorView) => boolean): TreeRow[] {
  const children = new Map<string | null, ActorView[]>();
  for (const actor of all.values()) {
    const parent = actor.parent !== null && all.has(actor.parent) ? actor.parent : null;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [actor]);
    else siblings.push(actor);
  }
  const rows: TreeRow[] = [];
  const add = (parent: string | null, depth: number): void => {
    for (const actor of children.get(parent) ?? []) {
      if (keep(actor)) rows.push({ actor, depth });
      add(actor.session, depth + 1);
    }
  };
  add(null, 0);
  return rows;
}

export function ActorTree({ selected }: { readonly selected: string | null }): JSX.Element {
  const text = useSignal('');
  const ended = useSignal(false);
  const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = treeOf(actors.value, (actor) => {
    if (actor.session === selected) return true;
    if (actor.status !== 'active' && !ended.value) return false;
    const about = `${actorName(actor)} ${actor.id} ${actor.session} ${actor.states.join(' ')}`.toLowerCase();
    return words.every((word) => about.includes(word));
  });
  // Only when another one is selected: who scrolls through the list is not to be called back.
  const shown = useMemo(() => (selected === null ? null : indexOf(rows, selected)), [selected, rows.length > 0]);
  return (
    <section class="card actors" aria-label="Actors">
      <header>
        <h2>Actors</h2>
        <label class="align-end check">
          <input
            type="checkbox"
            checked={ended.value}
            onChange={(event) => (ended.value = event.currentTarget.checked)}
          />
          ended too
        </label>
        <label class="filter">
          <span class="visually-hidden">Search actors</span>
          <input
            class="field"
            type="search"
            placeholder={`Search ${plural(rows.length, 'actor')}`}
            value={text.value}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
        </label>
      </header>
      <VirtualList
        label="Actors, each below its parent"
        count={rows.length}
        height={HEIGHT}
        reveal={shown}
        row={(index) => {
          const row = rows[index];
          return row === undefined ? null : (
            <ActorRow key={row.actor.session} row={row} index={index} selected={row.actor.session === selected} />
          );
        }}
      />
    </section>
  );
}

function indexOf(rows: readonly TreeRow[], selected: string): number | null {
  const at = rows.findIndex(({ actor }) => actor.session === selected);
  return at === -1 ? null : at;
}

interface ActorRowProps {
  readonly row: TreeRow;
  readonly index: number;
  readonly selected: boolean;
}

function ActorRow({ row: { actor, depth }, index, selected }: ActorRowProps): JSX.Element {
  const states = actor.machine === null ? actor.kind : leaves(actor.states).join(' · ');
  return (
    <li class="actor-row">
      <a
        href={routeUrl({ page: 'inspector', actor: actor.session })}
        aria-current={selected ? 'true' : undefined}
        data-row={index}
        style={{ paddingLeft: `${12 + Math.min(depth, 4) * 16}px` }}
      >
        <span class="actor-name">
          <strong>{actorName(actor)}</strong>
          {actor.status !== 'active' && <span class={`tag ${actor.status}`}>{actor.status}</span>}
        </span>
        <span class="actor-states muted mono">{states}</span>
      </a>
    </li>
  );
}
