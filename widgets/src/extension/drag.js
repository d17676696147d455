// Rows of the side panel dragged into a notebook become code cells, as cells of another notebook do.

import { MimeData } from '@lumino/coreutils';
import { Drag } from '@lumino/dragdrop';

import { complete } from './cells';
import { element } from './dom';
import { sources } from './notebooks';

const CELLS = 'application/vnd.jupyter.cells';
const FAR = 5; // pixels that a press must move to be a drag

/**
 * Let an element be dragged into a notebook.
 * @param {any} node
 * @param {any} lab
 * @param {{make: (notebook: string) => string, needs: string[], label: string}} cell `make` gives the code for the notebook at a path
 */
export function draggable(node, lab, cell) {
  node.addEventListener('pointerdown', event => {
    if (event.button !== 0 || event.pointerType === 'touch') {
      return;
    }
    const start = [event.clientX, event.clientY];
    const moved = now => {
      if (Math.abs(now.clientX - start[0]) + Math.abs(now.clientY - start[1]) > FAR) {
        done();
        begin(lab, cell, now);
      }
    };
    const done = () => {
      document.removeEventListener('pointermove', moved, true);
      document.removeEventListener('pointerup', done, true);
      document.removeEventListener('pointercancel', done, true);
    };
    document.addEventListener('pointermove', moved, true);
    document.addEventListener('pointerup', done, true);
    document.addEventListener('pointercancel', done, true);
  });
  node.classList.add('af-Panel-drag');
  return node;
}

function begin(lab, cell, event) {
  const mimeData = new MimeData();
  const write = (path, source) => mimeData.setData(CELLS, [{ cell_type: 'code', source: complete(cell.make(path), cell.needs, source), metadata: {}, outputs: [], execution_count: null }]);
  write('', '');
  // where it lands is known at the drop alone: only then can paths and missing imports be written for that notebook
  const landing = dropped => {
    const panel = lab.tracker.find(one => one.content.node.contains(dropped.target));
    if (panel) {
      write(panel.context.path, sources(panel));
    }
  };
  document.addEventListener('lm-drop', landing, true);
  const drag = new Drag({ mimeData, dragImage: element('div', 'af-Panel-dragged', cell.label), supportedActions: 'copy', proposedAction: 'copy', source: null });
  void drag.start(event.clientX, event.clientY).then(() => {
    document.removeEventListener('lm-drop', landing, true);
    drag.dispose();
  });
}
