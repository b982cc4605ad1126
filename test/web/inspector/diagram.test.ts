import { expect } from 'chai';
import Elk from 'elkjs/lib/elk.bundled.js';
import { conversationMachine } from '../../../machines/conversation.ts';
import { supervisorMachine } from '../../../machines/supervisor.ts';
import { readGraph } from '../../../src/dashboard/inspector/graph.ts';
import type { MachineGraph } from '../../../web/contract.ts';
import { diagramOf, planOf, type Box, type Diagram } from '../../../web/inspector/diagram.ts';

async function drawn(graph: MachineGraph): Promise<Diagram> {
  const plan = planOf(graph);
  return diagramOf(graph, plan, await new Elk.default().layout(plan.root));
}

const inside = (inner: Box, outer: Box): boolean =>
  inner.x >= outer.x &&
  inner.y >= outer.y &&
  inner.x + inner.width <= outer.x + outer.width &&
  inner.y + inner.height <= outer.y + outer.height;

for (const machine of [conversationMachine, supervisorMachine]) {
  describe(`web/inspector/diagram: the ${machine.id} machine`, () => {
    const { graph } = readGraph(machine);
    let diagram: Diagram;
    before(async () => (diagram = await drawn(graph)));

    it('has a box for every state, within the box of its parent', () => {
      const boxes = new Map(diagram.boxes.map((box) => [box.node.id, box]));
      expect([...boxes.keys()]).to.have.members(graph.nodes.map(({ id }) => id));
      for (const box of diagram.boxes) {
        const outer = boxes.get(box.node.parent ?? '');
        if (outer !== undefined) expect(inside(box, outer), `${box.node.id} in ${outer.node.id}`).to.equal(true);
      }
    });

    it('shows every transition, once: at an arrow, or in the box of the state that it stays in', () => {
      const shown = [
        ...diagram.arrows.flatMap(({ label }) => label.lines.map(({ edge }) => edge)),
        ...diagram.boxes.flatMap(({ lines }) => lines.flatMap(({ edge }) => edge ?? [])),
      ];
      expect(shown).to.have.members(graph.edges.map(({ id }) => id));
    });

    it('gives every arrow a line, and every state that has a first child its entrance', () => {
      for (const { path, id } of [...diagram.arrows, ...diagram.entrances]) expect(path, id).to.match(/^M[-\d.]+,/);
      expect(diagram.entrances).to.have.length(graph.nodes.filter(({ initial }) => initial !== null).length);
    });

    it('names guards, and what is invoked', () => {
      const text = diagram.boxes
        .flatMap(({ lines }) => lines)
        .concat(diagram.arrows.flatMap(({ label }) => label.lines))
        .map((line) => line.text)
        .join('\n');
      for (const { guard } of graph.edges) if (guard !== null) expect(text).to.include(`[${guard}]`);
      for (const { src } of graph.nodes.flatMap(({ invokes }) => invokes)) expect(text).to.include(src);
    });
  });
}
