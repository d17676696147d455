// The lab extension: a launcher card, palette commands and a side panel that write cells. Every widget works without it.

import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { LabIcon } from '@jupyterlab/ui-components';

import { CELLS } from './cells';
import { tutorial } from './finds';
import mark from './mark.svg';
import { insertCell, newAnalysis } from './notebooks';
import './panel.css';
import { SidePanel } from './panel';

const CATEGORY = 'AstroFuse Lab';
const icon = new LabIcon({ name: 'astrofuse-lab:mark', svgstr: mark });

/** One command a cell. */
function addCells(app, tracker, folder) {
  for (const [id, cell] of Object.entries(CELLS)) {
    app.commands.addCommand(`astrofuse-lab:${id}`, {
      label: cell.run ? `${cell.caption} (af.${id})` : `Insert a cell: ${cell.label.toLowerCase()} widget`,
      caption: cell.caption,
      icon,
      execute: () => insertCell(app, tracker, id, folder())
    });
  }
}

/** Commands that open something. */
function addOpeners(app, settings, panel, folder) {
  app.commands.addCommand('astrofuse-lab:new', {
    label: 'New analysis', caption: 'Open a notebook that starts an analysis with AstroFuse Lab', icon,
    execute: args => newAnalysis(app, args.cwd ?? folder())
  });
  app.commands.addCommand('astrofuse-lab:start', {
    label: 'AstroFuse Lab', caption: 'Open the first tutorial, or a new analysis where there is none', icon,
    execute: async args => {
      const path = await tutorial(app.serviceManager.contents, settings.composite.tutorials);
      return path ? app.commands.execute('docmanager:open', { path }) : newAnalysis(app, args.cwd ?? folder());
    }
  });
  app.commands.addCommand('astrofuse-lab:panel', {
    label: 'Show targets, sample sets and runs', caption: 'Open the AstroFuse Lab side panel', icon,
    execute: () => app.shell.activateById(panel.id)
  });
}

/** @param {any} app */
async function activate(app, registry, tracker, palette, launcher, restorer) {
  const settings = await registry.load(plugin.id);
  const folder = () => tracker.currentWidget?.context.path.split('/').slice(0, -1).join('/') ?? '';
  const panel = new SidePanel(app, tracker, folder, settings);
  panel.title.icon = icon;
  addCells(app, tracker, folder);
  addOpeners(app, settings, panel, folder);
  app.shell.add(panel, 'left', { rank: 500 });
  restorer?.add(panel, panel.id);
  for (const id of ['new', 'start', 'panel', ...Object.keys(CELLS)]) {
    palette?.addItem({ command: `astrofuse-lab:${id}`, category: CATEGORY });
  }
  launcher?.add({ command: 'astrofuse-lab:start', category: CATEGORY, rank: 0 });
  launcher?.add({ command: 'astrofuse-lab:new', category: CATEGORY, rank: 1 });
}

const plugin = {
  id: 'astrofuse-lab:plugin',
  description: 'Launcher card, palette commands and side panel of AstroFuse Lab.',
  autoStart: true,
  requires: [ISettingRegistry, INotebookTracker],
  optional: [ICommandPalette, ILauncher, ILayoutRestorer],
  activate
};

export default plugin;
