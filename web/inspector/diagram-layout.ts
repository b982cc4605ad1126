/** Lays out statecharts with ELK in a worker, so that the page stays responsive. Each chart is laid out once. */
import Elk, { type ELK } from 'elkjs/lib/elk-api.js';
import workerUrl from 'elkjs/lib/elk-worker.min.js?url';
import type { MachineGraph } from '../contract.ts';
import { diagramOf, layoutGraphOf, type Diagram } from './diagram.ts';

let elk: ELK | null = null;
const cache = new Map<string, Promise<Diagram>>();

/** The diagram of a statechart. Rejects when the layout fails. */
export function layOutDiagram(graph: MachineGraph): Promise<Diagram> {
  // By content, since a recording may hold another version of a machine.
  const key = JSON.stringify(graph);
  let diagram = cache.get(key);
  if (diagram === undefined) {
    diagram = compute(graph);
    cache.set(key, diagram);
    diagram.catch(() => cache.delete(key));
  }
  return diagram;
}

async function compute(graph: MachineGraph): Promise<Diagram> {
  elk ??= new Elk({ workerFactory: () => new Worker(workerUrl) });
  const plan = layoutGraphOf(graph);
  return diagramOf(graph, plan, await elk.layout(plan.root));
}
