// The lab extension: launcher cards, palette, side panel, status bar, cards of folders, help, the workbench as a tab. It writes cells and opens
// views; state lives with Python, and every widget works without it.

import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette, WidgetTracker } from '@jupyterlab/apputils';
import { IConsoleTracker } from '@jupyterlab/console';
import { ILauncher } from '@jupyterlab/launcher';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';

import { followBenches } from './bench';
import { CardFactory, FACTORY, FILE_TYPE } from './card';
import './card.css';
import { addCells, addOpeners, CARDS, COMMANDS } from './commands';
import { Desks } from './desk';
import { guardPlugin } from './guard';
import { HelpPanel } from './help';
import mark from './mark.svg';
import './panel.css';
import { SidePanel } from './panel';
import { StatusItem } from './status';

const CATEGORY = 'AstroFuse Lab';
const icon = new LabIcon({ name: 'astrofuse-lab:mark', svgstr: mark });

/** Files named manifest.json and run.json open as cards, and are opened again with the layout. */
function addCardFiles(lab, restorer) {
  const { app, trans } = lab;
  app.docRegistry.addFileType({ name: FILE_TYPE, displayName: trans.__('Sample set or run'), pattern: '^(manifest|run)\\.json$', extensions: [], mimeTypes: ['application/json'], contentType: 'file', fileFormat: 'text', icon });
  const factory = new CardFactory(lab);
  const tracker = new WidgetTracker({ namespace: 'astrofuse-lab-cards' });
  factory.widgetCreated.connect((_, widget) => {
    widget.context.pathChanged.connect(() => tracker.save(widget));
    void tracker.add(widget);
  });
  app.docRegistry.addWidgetFactory(factory);
  void restorer?.restore(tracker, { command: 'docmanager:open', args: widget => ({ path: widget.context.path, factory: FACTORY }), name: widget => widget.context.path });
}

/** @param {any} app */
async function activate(app, registry, tracker, translator, palette, launcher, restorer, consoles, statusBar) {
  const settings = await registry.load(plugin.id);
  const folder = () => tracker.currentWidget?.context.path.split('/').slice(0, -1).join('/') ?? '';
  const lab = { app, settings, tracker, folder, icon, trans: (translator ?? nullTranslator).load('astrofuse_lab'), desks: new Desks(app.serviceManager.sessions, [tracker, consoles]) };
  const panel = new SidePanel(lab);
  const help = new HelpPanel(lab);
  panel.title.icon = icon;
  followBenches(lab);
  addCells(lab);
  addOpeners(lab, panel, help);
  addCardFiles(lab, restorer);
  app.shell.add(panel, 'left', { rank: 500 });
  restorer?.add(panel, panel.id);
  if (statusBar) {
    statusBar.registerStatusItem('astrofuse-lab:status', { item: new StatusItem(lab), align: 'right', rank: 50 });
  }
  for (const id of COMMANDS(lab.trans)) {
    palette?.addItem({ command: `astrofuse-lab:${id}`, category: CATEGORY });
  }
  CARDS.forEach((id, rank) => launcher?.add({ command: `astrofuse-lab:${id}`, category: CATEGORY, rank }));
}

const plugin = {
  id: 'astrofuse-lab:plugin',
  description: 'Launcher cards, palette commands, side panel, status bar, cards of sample sets and runs, and help of AstroFuse Lab.',
  autoStart: true,
  requires: [ISettingRegistry, INotebookTracker],
  optional: [ITranslator, ICommandPalette, ILauncher, ILayoutRestorer, IConsoleTracker, IStatusBar],
  activate
};

export default [plugin, guardPlugin];
