// Writing cells into notebooks.

import { NotebookActions } from '@jupyterlab/notebook';

import { STARTER, cells, complete } from './cells';

/** All code of a notebook. @param {any} panel */
export const sources = panel => [...panel.content.model.cells].filter(cell => cell.type === 'code').map(cell => cell.sharedModel.getSource()).join('\n');

/** A new notebook beside what is open, its kernel starting. */
export async function create(lab, folder) {
  const { app } = lab;
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  const panel = await app.commands.execute('notebook:create-new', { cwd: folder, kernelName });
  await panel.context.ready;
  return panel;
}

/** The notebook in front, or a new one. */
async function current(lab, folder) {
  const panel = lab.tracker.currentWidget;
  if (!panel) {
    return create(lab, folder);
  }
  await panel.context.ready;
  lab.app.shell.activateById(panel.id);
  return panel;
}

/** Put code into the active cell where that is empty, else into a new one below; run it where asked. */
function write(panel, code, run) {
  const notebook = panel.content;
  const active = notebook.activeCell;
  if (!active || active.model.type !== 'code' || active.model.sharedModel.getSource().trim()) {
    NotebookActions.insertBelow(notebook);
    NotebookActions.changeCellType(notebook, 'code');
  }
  notebook.activeCell.model.sharedModel.setSource(code);
  if (run) {
    void NotebookActions.run(notebook, panel.sessionContext);
  }
  void notebook.scrollToItem?.(notebook.activeCellIndex);
}

/** Insert one of the known cells. */
export async function insertCell(lab, id, folder = '') {
  const cell = cells(lab.trans)[id];
  const panel = await current(lab, folder);
  write(panel, complete(cell.code, cell.needs, sources(panel)), cell.run);
}

/** Insert code made for the notebook that takes it: `make(path of the notebook)`. */
export async function insertCode(lab, make, folder = '') {
  const panel = await current(lab, folder);
  write(panel, complete(make(panel.context.path), [], sources(panel)), false);
}

/** Replace what a new notebook holds. @param {any} panel @param {string[]} codes */
export function fill(panel, codes) {
  const shared = panel.content.model.sharedModel;
  shared.transact(() => {
    shared.deleteCellRange(0, shared.cells.length);
    shared.insertCells(0, codes.map(source => ({ cell_type: 'code', source, metadata: { trusted: true } })));
  });
  panel.content.activeCellIndex = 0;
}

/** A new notebook with the starter cells. */
export async function newAnalysis(lab, folder) {
  const panel = await create(lab, folder);
  fill(panel, STARTER);
  return panel;
}
