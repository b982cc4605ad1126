/** Statecharts laid out by ELK, in a worker of its own: the page stays quick. Each chart once. */
import Elk, { type ELK } from 'elkjs/lib/elk-api.js';
import workerUrl from 'elkjs/lib/elk-worker.min.js?url';
import type { MachineGraph } from '../contract.ts';
import { diagramOf, layoutGraphOf, type Diagram } from './diagram.ts';

let elk: ELK | null = null;
const known = new Map<string, Promise<Diagram>>();

/** The drawing of a statechart. Rejects when the layout fails. */
export function layOutDiagram(graph: MachineGraph): Promise<Diagram> {
  // Recordings may hold another version of a machine of the same name.
  const key = JSON.stringify(graph);
  let drawing = known.get(key);
  if (drawing === undefined) {
    drawing = compute(graph);
    known.set(key, drawing);
    drawing.catch(() => known.delete(key));
  }
  return drawing;
}

async function compute(graph: MachineGraph): Promise<Diagram> {
  elk ??= new Elk({ workerFactory: () => new Worker(workerUrl) });
  const plan = layoutGraphOf(graph);
  return diagramOf(graph, plan, await elk.layout(plan.root));
}
