// The left side panel: cells to insert, jobs, selections and tables received; targets, sample sets and runs under this folder.

import { refreshIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';

import { actions, cells, pathFor, quoted } from './cells';
import { around, button, element, renew } from './dom';
import { draggable } from './drag';
import { find } from './finds';
import { insertCode } from './notebooks';
import { jobRows, receivedRows, selectionRows } from './panel_live';

/** Sections in their order: those that kernels fill, and those that folders fill. @param {any} trans */
const sections = trans => ({
  jobs: { title: trans.__('Jobs'), empty: trans.__('Nothing is running. Fetches, trainings and explanations of all notebooks show here, with Stop.') },
  selections: { title: trans.__('Selections'), empty: '' },
  received: { title: trans.__('Received'), empty: '' },
  targets: { title: trans.__('Targets'), empty: trans.__('No table with columns ra and dec (.csv, .ecsv) here.') },
  samples: { title: trans.__('Sample sets'), empty: trans.__('None here. samples.save("my_samples") writes one.') },
  runs: { title: trans.__('Runs'), empty: trans.__('None here. run.save("my_run") writes one.') }
});

const FOUND = ['targets', 'samples', 'runs'];

export class SidePanel extends Widget {
  /** @param {any} lab what the extension shares, as in index.js */
  constructor(lab) {
    super();
    const { trans } = lab;
    this.id = 'astrofuse-lab-panel';
    this.title.caption = trans.__('AstroFuse Lab: jobs, targets, sample sets, runs');
    this.addClass('af-Panel');
    this._lab = lab;
    this._lists = new Map();
    this._timer = 0;
    this._searching = null;
    this._pressed = false;
    this._sections = sections(trans);
    this.node.append(this._header(), this._buttons(), ...Object.entries(this._sections).map(([kind, one]) => this._section(kind, one.title)), (this._note = element('p', 'af-Panel-note')));
    lab.app.serviceManager.contents.fileChanged.connect(this._later, this);
    lab.settings.changed.connect(this._later, this);
    lab.desks.changed.connect(this._live, this);
    this._live();
  }

  dispose() {
    window.clearTimeout(this._timer);
    this._lab.app.serviceManager.contents.fileChanged.disconnect(this._later, this);
    this._lab.settings.changed.disconnect(this._later, this);
    this._lab.desks.changed.disconnect(this._live, this);
    super.dispose();
  }

  onAfterShow() {
    this._live();
    void this.refresh();
  }

  /** Search again, once, a moment after the last change. */
  _later() {
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this.isVisible && this.refresh(), 800);
  }

  _header() {
    const { trans } = this._lab;
    const refresh = button('af-Panel-refresh jp-mod-minimal', '', () => this.refresh(), { title: trans.__('Search again'), 'aria-label': trans.__('Search again') });
    refresh.append(refreshIcon.element({ tag: 'span', width: '16px' }));
    return around('div', 'af-Panel-header', [element('h2', '', 'AstroFuse Lab'), refresh]);
  }

  _buttons() {
    const { trans, app } = this._lab;
    const made = Object.entries(cells(trans)).map(([id, cell]) => {
      const one = button('af-Panel-cell', cell.label, () => app.commands.execute(`astrofuse-lab:${id}`), { title: trans.__('%1: inserts %2', cell.caption, cell.code), 'data-cell': id });
      return draggable(one, this._lab, { make: () => cell.code, needs: cell.needs, label: cell.label });
    });
    return around('div', 'af-Panel-cells', made, { role: 'group', 'aria-label': trans.__('Insert a cell') });
  }

  _section(kind, title) {
    const number = element('span', 'af-Panel-count', '');
    const list = element('ul', 'af-Panel-list', '', { 'aria-label': title });
    // a row that is replaced between press and release would swallow the click
    list.addEventListener('pointerdown', () => this._press());
    const section = around('details', 'af-Panel-section', [around('summary', '', [title, number]), list], { open: '', 'data-kind': kind });
    this._lists.set(kind, { list, number, section });
    return section;
  }

  _press() {
    this._pressed = true;
    const release = () => {
      window.removeEventListener('pointerup', release, true);
      window.removeEventListener('pointercancel', release, true);
      window.setTimeout(() => {
        this._pressed = false;
        this._live();
      });
    };
    window.addEventListener('pointerup', release, true);
    window.addEventListener('pointercancel', release, true);
  }

  /** What kernels tell; sections that are empty and have nothing to say of it are left out. */
  _live() {
    if (!this._pressed && (this.isVisible || !this.isAttached)) {
      const { all } = this._lab.desks;
      this._fill('jobs', jobRows(this._lab, all), all.flatMap(desk => desk.told.jobs).filter(job => job.state === 'running' || job.state === 'stopping').length);
      this._fill('selections', selectionRows(this._lab, all));
      this._fill('received', receivedRows(this._lab, all));
    }
  }

  /** Search the folders and show what was found; a search that is under way is not started twice. */
  async refresh() {
    this._searching ??= this._search().finally(() => (this._searching = null));
    return this._searching;
  }

  async _search() {
    const { trans, settings, app } = this._lab;
    this.node.setAttribute('aria-busy', 'true');
    this._note.textContent = trans.__('Searching …');
    const { depth, folders } = settings.composite;
    const found = await find(app.serviceManager.contents, depth, folders, trans);
    if (this.isDisposed) {
      return;
    }
    for (const kind of FOUND) {
      this._fill(kind, found[kind].map(item => this._item(kind, item)));
    }
    this.node.removeAttribute('aria-busy');
    this._note.textContent = found.cut
      ? trans.__('Stopped after %1 folders; the settings of AstroFuse Lab allow more.', found.searched)
      : trans._n('%1 folder searched, %2 deep.', '%1 folders searched, %2 deep.', found.searched, depth);
  }

  /** Rows of a section, by which the button that has the focus keeps it. */
  _fill(kind, rows, count = rows.length) {
    const { list, number, section } = this._lists.get(kind);
    const { empty } = this._sections[kind];
    const held = list.contains(document.activeElement) ? document.activeElement.getAttribute('aria-label') : null;
    number.textContent = count ? String(count) : '';
    section.hidden = !rows.length && !empty;
    renew(list, rows.length ? rows : [element('li', 'af-Panel-empty', empty)]);
    if (held !== null) {
      [...list.querySelectorAll('button')].find(one => one.getAttribute('aria-label') === held)?.focus();
    }
  }

  _item(kind, item) {
    const { trans, folder, app, settings } = this._lab;
    const offered = actions(trans)[kind];
    const make = act => notebook => act.code(quoted(pathFor(settings.composite.root, notebook, item.path)));
    const buttons = offered.map(act => button('af-Panel-action', act.label, () => insertCode(this._lab, make(act), folder()), { 'aria-label': `${act.label} ${item.name}` }));
    if (kind !== 'targets') {
      const open = () => app.commands.execute('astrofuse-lab:open-card', { path: item.path });
      buttons.push(button('af-Panel-action', trans.__('Card'), open, { 'aria-label': trans.__('Open the card of %1', item.name) }));
    }
    const badge = item.simulated ? element('span', 'af-Panel-badge', trans.__('practice sky'), { title: trans.__('Simulated data') }) : null;
    const row = around('li', 'af-Panel-item', [
      around('div', 'af-Panel-name', [item.name, badge]),
      item.about ? element('div', 'af-Panel-about', item.about) : null,
      around('div', 'af-Panel-actions', buttons)
    ], { title: trans.__('%1 (drag into a notebook)', item.path) });
    return draggable(row, this._lab, { make: make(offered[0]), needs: [], label: item.name });
  }
}
