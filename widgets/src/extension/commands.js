// The commands: in the palette, the launcher, the context menus and behind the shortcuts.

import { openBench } from './bench';
import { cells } from './cells';
import { openFound, openTutorial } from './choosers';
import { viewIn } from './help';
import { insertCell, newAnalysis } from './notebooks';

/** Cards of the launcher, in their order. */
export const CARDS = ['start', 'new', 'workbench-tab', 'open-samples', 'open-run'];

/** All that the palette offers. @param {any} trans */
export const COMMANDS = trans => [...CARDS, 'panel', 'help', 'stop', ...Object.keys(cells(trans))];

/** One command a cell. @param {any} lab */
export function addCells(lab) {
  const { app, trans, icon, folder } = lab;
  for (const [id, cell] of Object.entries(cells(trans))) {
    app.commands.addCommand(`astrofuse-lab:${id}`, {
      label: cell.run ? `${cell.caption} (af.${id})` : id === 'samp' ? trans.__('Insert a cell: exchange with other tools (SAMP)') : trans.__('Insert a cell: %1 widget', cell.label.toLowerCase()),
      caption: cell.caption, icon, execute: () => insertCell(lab, id, folder())
    });
  }
}

/** Where the folders marked in the file browser, or the file's own, hold one of ours: the path of its manifest, else ''. */
async function manifestIn(contents, path) {
  if (/(^|\/)(manifest|run)\.json$/.test(path)) {
    return path;
  }
  const folder = await contents.get(path, { content: true, type: 'directory' });
  return folder.content.find(item => item.type !== 'directory' && /^(manifest|run)\.json$/.test(item.name))?.path ?? '';
}

/** The folder that is marked in a file browser. */
function marked(app) {
  const node = app.contextMenuHitTest?.(one => one.classList.contains('jp-DirListing-item'));
  const browsers = [...app.shell.widgets('left')].filter(widget => typeof widget.selectedItems === 'function');
  const item = browsers.flatMap(browser => [...browser.selectedItems()])[0];
  return item?.path ?? node?.dataset.path ?? '';
}

/** Commands that open something. @param {any} lab @param {any} panel @param {any} help */
export function addOpeners(lab, panel, help) {
  const { app, trans, icon, folder } = lab;
  const add = (id, label, caption, execute, more = {}) => app.commands.addCommand(`astrofuse-lab:${id}`, { label, caption, icon, execute, ...more });
  add('start', trans.__('Tutorials'), trans.__('Open one of the tutorials, or a new analysis where there is none'), args => openTutorial(lab, args.cwd ?? folder()));
  add('new', trans.__('New analysis'), trans.__('Open a notebook that starts an analysis with AstroFuse Lab'), args => newAnalysis(lab, args.cwd ?? folder()));
  add('workbench-tab', trans.__('Workbench'), trans.__('The workbench in a tab of its own'), args => openBench(lab, args.cwd ?? folder(), { samples: args.samples, run: args.run }));
  add('open-samples', trans.__('Open a sample set'), trans.__('Choose one of the sample sets under this folder'), () => openFound(lab, 'samples'));
  add('open-run', trans.__('Open a run'), trans.__('Choose one of the runs under this folder'), () => openFound(lab, 'runs'));
  add('panel', trans.__('Show jobs, targets, sample sets and runs'), trans.__('Open the AstroFuse Lab side panel'), () => app.shell.activateById(panel.id));
  add('open-card', trans.__('Open as a sample set or run'), trans.__('Open the card of the folder that is marked'), async args => {
    const path = await manifestIn(app.serviceManager.contents, args.path ?? marked(app));
    return path && app.commands.execute('docmanager:open', { path });
  });
  add('help', trans.__('Help with the view in use'), trans.__('What the view shows, how to read it, its keys'), args => {
    if (!help.isAttached) {
      app.shell.add(help, 'right', { rank: 600 });
    }
    app.shell.activateById(help.id);
    help.show_(args.view ?? (viewIn(focused()) || help.last));
  });
  add('stop', trans.__('Stop the jobs of this kernel'), trans.__('Ask what is running in the kernel of the notebook in front to end after the batch at hand'), () => {
    const desk = lab.desks.of(app.shell.currentWidget);
    return Promise.all((desk?.told?.jobs ?? []).filter(job => job.can_stop).map(job => desk.stop(job.number)));
  }, { isEnabled: () => (lab.desks.of(app.shell.currentWidget)?.told?.jobs ?? []).some(job => job.can_stop) });
}

/** The element that has the focus and all around it, out of shadow trees. */
function focused() {
  const path = [];
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) {
    node = node.shadowRoot.activeElement;
  }
  for (let at = /** @type {any} */ (node); at; at = at.parentNode ?? at.host) {
    path.push(at);
  }
  return path;
}
