// The workbench as a tab: a notebook that shows its workbench alone, over the whole width. The cells are behind it, one click away.

import { NotebookActions } from '@jupyterlab/notebook';
import { Widget } from '@lumino/widgets';

import { pathFor, quoted } from './cells';
import { chooseSamples } from './choosers';
import { button, element } from './dom';
import { create, fill } from './notebooks';

const ALONE = 'af-mod-bench';
const MARK = 'astrofuse_lab'; // in the notebook's own metadata, so that it opens again as it was left

/** A folder beside the notebook, not there yet: what the workbench keeps outlives its kernel. @param {any} lab @param {string} notebook */
async function freshSession(lab, notebook) {
  const cut = notebook.lastIndexOf('/');
  const stem = `${notebook.slice(cut + 1).replace(/\.ipynb$/, '')}-session`;
  const folder = await lab.app.serviceManager.contents.get(notebook.slice(0, Math.max(0, cut)), { content: true, type: 'directory' });
  const there = new Set(folder.content.map(one => one.name));
  let name = stem;
  for (let i = 2; there.has(name); i++) {
    name = `${stem}-${i}`;
  }
  return name;
}

/** The code of the tab. @param {any} lab @param {string} notebook @param {{samples?: string, run?: string}} given folders @param {string} session */
function code(lab, notebook, given, session) {
  const path = to => quoted(pathFor(lab.settings.composite.root, notebook, to));
  const lines = ['import astrofuse_lab as af', ''];
  if (given.run) {
    lines.push(`run = af.Run.open(${path(given.run)})`);
  }
  if (given.samples) {
    lines.push(`samples = af.SampleSet.open(${path(given.samples)})`);
  }
  const names = given.run ? 'run, samples, ' : given.samples ? 'samples=samples, ' : '';
  return [...lines, `bench = af.workbench(${names}session=${quoted(session)})`, 'bench'].join('\n');
}

function show(lab, panel, alone) {
  const { trans } = lab;
  panel.toggleClass(ALONE, alone);
  panel.content.model?.setMetadata(MARK, { bench: alone });
  const label = alone ? trans.__('Show the cells') : trans.__('Show the workbench alone');
  const toggle = lab.toggles.get(panel);
  toggle.node.querySelector('button')?.replaceChildren(label);
}

/** Offer the way between workbench and cells in every notebook that is shown so. @param {any} lab */
export function followBenches(lab) {
  lab.toggles = new WeakMap();
  lab.tracker.widgetAdded.connect((_, panel) => {
    void panel.context.ready.then(() => {
      if (panel.content.model?.getMetadata(MARK)?.bench !== undefined) {
        dress(lab, panel);
        show(lab, panel, false); // what it showed went with its kernel: the cells come first
      }
    });
  });
}

function dress(lab, panel) {
  if (lab.toggles.has(panel)) {
    return;
  }
  const { trans } = lab;
  const toggle = new Widget();
  toggle.addClass('af-Bench-toggle');
  toggle.node.append(button('af-Panel-cell', '', () => show(lab, panel, !panel.hasClass(ALONE)), { title: trans.__('The workbench alone, or the notebook behind it') }));
  panel.toolbar.insertItem(0, 'astrofuse-lab-bench', toggle);
  lab.toggles.set(panel, toggle);
}

/** Open the workbench in a tab of its own; a run needs samples, which are asked for. @param {any} lab @param {string} folder @param {{samples?: string, run?: string}} given */
export async function openBench(lab, folder, given) {
  if (given.run && !given.samples) {
    const item = await chooseSamples(lab);
    if (!item) {
      return null;
    }
    given = { ...given, samples: item.path };
  }
  const { trans } = lab;
  const panel = await create(lab, folder);
  const { path } = panel.context;
  fill(panel, [code(lab, path, given, await freshSession(lab, path))]);
  dress(lab, panel);
  show(lab, panel, true);
  const said = element('span', 'af-Bench-said', trans.__('Starting Python …'), { role: 'status' });
  lab.toggles.get(panel).node.append(said);
  await panel.sessionContext.ready;
  void NotebookActions.run(panel.content, panel.sessionContext).finally(() => said.remove());
  return panel;
}
