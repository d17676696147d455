// The left side panel: cells to insert; targets, sample sets and runs under this folder.

import { Widget } from '@lumino/widgets';
import { refreshIcon } from '@jupyterlab/ui-components';

import { CELLS, quoted, relative } from './cells';
import { find } from './finds';
import { insertCode } from './notebooks';

/** An element with text and attributes; text never becomes markup. */
function element(tag, className, text = '', attributes = {}) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
  }
  return node;
}

const SECTIONS = [
  {
    kind: 'targets', title: 'Targets', empty: 'No table with columns ra and dec (.csv, .ecsv) here.',
    actions: [
      ['Load', path => `from astropy.table import Table\n\ntargets = af.Targets.from_table(Table.read(${path}))\ntargets`],
      ['Fetch', path => `from astropy.table import Table\n\ntargets = af.Targets.from_table(Table.read(${path}))\naf.FetchWidget(targets)`]
    ]
  },
  {
    kind: 'samples', title: 'Sample sets', empty: 'None here. samples.save("my_samples") writes one.',
    actions: [
      ['Open', path => `samples = af.SampleSet.open(${path})\nsamples`],
      ['Look', path => `samples = af.SampleSet.open(${path})\naf.SamplesWidget(samples)`],
      ['Train', path => `samples = af.SampleSet.open(${path})\naf.TrainWidget(samples)`]
    ]
  },
  {
    kind: 'runs', title: 'Runs', empty: 'None here. run.save("my_run") writes one.',
    actions: [
      ['Open', path => `run = af.Run.open(${path})\nrun.metrics`],
      ['Learning curve', path => `run = af.Run.open(${path})\naf.plot.learning_curve(run)`]
    ]
  }
];

export class SidePanel extends Widget {
  constructor(app, tracker, folder, settings) {
    super();
    this.id = 'astrofuse-lab-panel';
    this.title.caption = 'AstroFuse Lab: targets, sample sets, runs';
    this.addClass('af-Panel');
    this._app = app;
    this._tracker = tracker;
    this._folder = folder;
    this._settings = settings;
    this._lists = new Map();
    this._timer = 0;
    this._searching = null;
    this.node.append(this._header(), this._buttons(), ...SECTIONS.map(section => this._section(section)), (this._note = element('p', 'af-Panel-note')));
    app.serviceManager.contents.fileChanged.connect(this._later, this);
    settings.changed.connect(this._later, this);
  }

  dispose() {
    window.clearTimeout(this._timer);
    this._app.serviceManager.contents.fileChanged.disconnect(this._later, this);
    this._settings.changed.disconnect(this._later, this);
    super.dispose();
  }

  onAfterShow() {
    void this.refresh();
  }

  /** Search again, once, a moment after the last change. */
  _later() {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this.isVisible && this.refresh(), 800);
  }

  _header() {
    const header = element('div', 'af-Panel-header');
    const refresh = element('button', 'af-Panel-refresh jp-Button jp-mod-minimal', '', { title: 'Search again', 'aria-label': 'Search again' });
    refresh.append(refreshIcon.element({ tag: 'span', width: '16px' }));
    refresh.onclick = () => this.refresh();
    header.append(element('h2', '', 'AstroFuse Lab'), refresh);
    return header;
  }

  _buttons() {
    const box = element('div', 'af-Panel-cells', '', { role: 'group', 'aria-label': 'Insert a cell' });
    for (const [id, cell] of Object.entries(CELLS)) {
      const button = element('button', 'jp-Button af-Panel-cell', cell.label, { title: `${cell.caption}: inserts ${cell.code}`, 'data-cell': id });
      button.onclick = () => this._app.commands.execute(`astrofuse-lab:${id}`);
      box.append(button);
    }
    return box;
  }

  _section({ kind, title }) {
    const section = element('details', 'af-Panel-section', '', { open: '', 'data-kind': kind });
    const summary = element('summary', '', title);
    const number = element('span', 'af-Panel-count', '');
    summary.append(number);
    const list = element('ul', 'af-Panel-list', '', { 'aria-label': title });
    section.append(summary, list);
    this._lists.set(kind, { list, number });
    return section;
  }

  /** Search the folders and show what was found; a search that is under way is not started twice. */
  async refresh() {
    this._searching ??= this._search().finally(() => (this._searching = null));
    return this._searching;
  }

  async _search() {
    this.node.setAttribute('aria-busy', 'true');
    this._note.textContent = 'Searching …';
    const { depth, folders } = this._settings.composite;
    const found = await find(this._app.serviceManager.contents, depth, folders);
    if (this.isDisposed) {
      return;
    }
    for (const section of SECTIONS) {
      this._fill(section, found[section.kind]);
    }
    this.node.removeAttribute('aria-busy');
    this._note.textContent = found.cut
      ? `Stopped after ${found.searched} folders; the settings of AstroFuse Lab allow more.`
      : `${found.searched} ${found.searched === 1 ? 'folder' : 'folders'} searched, ${depth} deep.`;
  }

  _fill(section, items) {
    const { list, number } = this._lists.get(section.kind);
    number.textContent = items.length ? String(items.length) : '';
    list.replaceChildren(...(items.length ? items.map(item => this._item(section, item)) : [element('li', 'af-Panel-empty', section.empty)]));
  }

  _item(section, item) {
    const row = element('li', 'af-Panel-item', '', { title: item.path });
    const name = element('div', 'af-Panel-name', item.name);
    if (item.simulated) {
      name.append(element('span', 'af-Panel-badge', 'practice sky', { title: 'Simulated data' }));
    }
    const actions = element('div', 'af-Panel-actions');
    for (const [label, make] of section.actions) {
      const button = element('button', 'jp-Button af-Panel-action', label, { 'aria-label': `${label} ${item.name}` });
      button.onclick = () => insertCode(this._app, this._tracker, notebook => make(quoted(relative(notebook, item.path))), this._folder());
      actions.append(button);
    }
    row.append(name, ...(item.about ? [element('div', 'af-Panel-about', item.about)] : []), actions);
    return row;
  }
}
