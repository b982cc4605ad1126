import { expect } from 'chai';
import Elk from 'elkjs/lib/elk.bundled.js';
import { breakerMachine } from '../../../machines/breaker.ts';
import { conversationMachine } from '../../../machines/conversation.ts';
import { serviceMachine } from '../../../machines/service.ts';
import { supervisorMachine } from '../../../machines/supervisor.ts';
import { readGraph } from '../../../src/dashboard/inspector/graph.ts';
import type { MachineGraph } from '../../../web/contract.ts';
import { diagramOf, focusOf, layoutGraphOf, type Box, type Diagram } from '../../../web/inspector/diagram.ts';

async function layOut(graph: MachineGraph): Promise<Diagram> {
  const layoutGraph = layoutGraphOf(graph);
  return diagramOf(graph, layoutGraph, await new Elk.default().layout(layoutGraph.root));
}

const inside = (inner: Box, outer: Box): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;

for (const machine of [conversationMachine, supervisorMachine, serviceMachine, breakerMachine]) {
  describe(`web/inspector/diagram: the ${machine.id} machine`, () => {
    const { graph } = readGraph(machine);
    let diagram: Diagram;
    before(async () => (diagram = await layOut(graph)));

    it('has a box for every state, within the box of its parent', () => {
      const boxes = new Map(diagram.boxes.map((box) => [box.node.id, box]));
      expect([...boxes.keys()]).to.have.members(graph.nodes.map(({ id }) => id));
      for (const box of diagram.boxes) {
        const outer = boxes.get(box.node.parent ?? '');
        if (outer !== undefined) expect(inside(box, outer), `${box.node.id} in ${outer.node.id}`).to.equal(true);
      }
    });

    it('shows every transition once: at an arrow, or in the box of the state that it stays in', () => {
      const lines = [...diagram.arrows.map(({ label }) => label), ...diagram.boxes].flatMap((it) => it.lines);
      // The guard is in a line of its own below the event.
      const shown = lines.flatMap(({ edge, text }) => (edge === null || text.trim().startsWith('[') ? [] : [edge]));
      expect(shown).to.have.members(graph.edges.map(({ id }) => id));
    });

    it('gives every arrow a path, and every state with an initial child an initial marker', () => {
      for (const { path, id } of [...diagram.arrows, ...diagram.initialMarkers])
        expect(path, id).to.match(/^M[-\d.]+,/);
      expect(diagram.initialMarkers).to.have.length(graph.nodes.filter(({ initial }) => initial !== null).length);
    });

    it('focuses the target of the last transition, else an active state', () => {
      const leaf = graph.nodes.find(({ type, parent }) => type === 'atomic' && parent !== null);
      const edge = graph.edges.find(({ source, target }) => target === leaf?.id && source !== target);
      const active = [graph.id, leaf?.id ?? ''];
      expect(focusOf(diagram, active, edge === undefined ? [] : [edge.id])?.node.id).to.equal(leaf?.id);
      expect(focusOf(diagram, active, [])?.node.id).to.equal(leaf?.id);
      expect(focusOf(diagram, [], [])).to.equal(null);
    });

    it('names guards, delays and invoked actors', () => {
      const text = diagram.boxes
        .flatMap(({ lines }) => lines)
        .concat(diagram.arrows.flatMap(({ label }) => label.lines))
        .map((line) => line.text)
        .join('\n');
      for (const { guard } of graph.edges) if (guard !== null) expect(text).to.include(`[${guard}]`);
      for (const delay of graph.nodes.flatMap(({ delays }) => delays)) expect(text).to.include(`after ${delay}`);
      for (const { src } of graph.nodes.flatMap(({ invokes }) => invokes)) expect(text).to.include(src);
    });
  });
}
