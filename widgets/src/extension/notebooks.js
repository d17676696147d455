// Writing cells into notebooks.

import { NotebookActions } from '@jupyterlab/notebook';

import { CELLS, STARTER, complete } from './cells';

const sources = panel => [...panel.content.model.cells].filter(cell => cell.type === 'code').map(cell => cell.sharedModel.getSource()).join('\n');

/** A new notebook beside what is open, its kernel starting. */
async function create(app, folder) {
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  const panel = await app.commands.execute('notebook:create-new', { cwd: folder, kernelName });
  await panel.context.ready;
  return panel;
}

/** The notebook in front, or a new one. */
async function current(app, tracker, folder) {
  const panel = tracker.currentWidget;
  if (!panel) {
    return create(app, folder);
  }
  await panel.context.ready;
  app.shell.activateById(panel.id);
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
export async function insertCell(app, tracker, id, folder = '') {
  const cell = CELLS[id];
  const panel = await current(app, tracker, folder);
  write(panel, complete(cell.code, cell.needs, sources(panel)), cell.run);
}

/** Insert code made for the notebook that takes it: `make(path of the notebook)`. */
export async function insertCode(app, tracker, make, folder = '') {
  const panel = await current(app, tracker, folder);
  write(panel, complete(make(panel.context.path), [], sources(panel)), false);
}

/** A new notebook with the starter cells. */
export async function newAnalysis(app, folder) {
  const panel = await create(app, folder);
  const cells = STARTER.map(source => ({ cell_type: 'code', source, metadata: { trusted: true } }));
  const shared = panel.content.model.sharedModel;
  shared.transact(() => {
    shared.deleteCellRange(0, shared.cells.length);
    shared.insertCells(0, cells);
  });
  panel.content.activeCellIndex = 0;
  return panel;
}
