/** The tree of actors at the current position. */
import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useMemo } from 'preact/hooks';
import type { ActorView } from '../contract.ts';
import { plural } from '../format.ts';
import { SearchField } from '../components/search-field.tsx';
import { VirtualList } from '../components/virtual-list.tsx';
import { hasEveryWord, wordsOf } from '../text-search.ts';
import { actors } from '../state/inspection.ts';
import { routeUrl } from '../state/route-url.ts';
import { actorName, innermostStates } from './names.ts';
import type { Actors } from './replay.ts';

const HEIGHT = 44;

interface TreeRow {
  readonly actor: ActorView;
  readonly depth: number;
}

/** The kept actors as a flat tree, parents first. An actor whose parent is unknown is a root. */
function treeOf(all: Actors, keep: (actor: ActorView) => boolean): TreeRow[] {
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
  const showEnded = useSignal(false);
  const words = wordsOf(text.value);
  const rows = treeOf(actors.value, (actor) => {
    if (actor.session === selected) return true;
    if (actor.status !== 'active' && !showEnded.value) return false;
    return hasEveryWord(`${actorName(actor)} ${actor.id} ${actor.session} ${actor.states.join(' ')}`, words);
  });
  // Scrolls to the selected actor only when the selection changes, so that the user can scroll away from it.
  const reveal = useMemo(() => (selected === null ? null : indexOf(rows, selected)), [selected, rows.length > 0]);
  return (
    <section class="card" aria-label="Actors">
      <header>
        <h2>Actors</h2>
        <label class="align-end check">
          <input
            type="checkbox"
            checked={showEnded.value}
            onChange={(event) => (showEnded.value = event.currentTarget.checked)}
          />
          show ended
        </label>
        <SearchField label="Search actors" text={text} placeholder={`Search ${plural(rows.length, 'actor')}`} />
      </header>
      <VirtualList
        label="Actor tree"
        count={rows.length}
        height={HEIGHT}
        reveal={reveal}
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
  const states = actor.machine === null ? actor.kind : innermostStates(actor.states).join(' · ');
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
