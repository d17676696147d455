// Help in the context of a widget: what it shows, how to read it, its keys, its line of Python. It follows the widget that has the focus.

import { Widget } from '@lumino/widgets';

import { KEYS } from '../shared/keys.js';
import { cells } from './cells';
import { around, button, element } from './dom';
import { insertCell } from './notebooks';

/** One page a view, by the title it bears. @param {any} trans @returns {Record<string, {view: string, title: string, what: string, read: string, next: string}>} */
export const pages = trans => ({
  Workbench: {
    view: 'header', title: trans.__('Workbench'), what: trans.__('Four steps in one linked view: sky, samples, fuse, inspect. What is selected in one of them is selected in all.'),
    read: trans.__('A step that cannot run yet says what it waits for. The badge marks simulated data.'), next: trans.__('The code drawer shows what the clicks have written; it runs without the workbench.')
  },
  Fetch: {
    view: 'fetch', title: trans.__('Fetch'), what: trans.__('Asks archives for images, spectra, light curves, tables and text of a list of targets, and keeps the answers.'),
    read: trans.__('Found, nothing there, failed and still to come are told apart for each survey; nothing that came is lost by Stop.'), next: trans.__('Align makes samples of what was found: one grid, one clock, masks where something is missing.')
  },
  Samples: {
    view: 'samples', title: trans.__('Samples'), what: trans.__('One object after the other with all its data on physical axes, beside a table of them all.'),
    read: trans.__('Masked values are hatched, a modality that a sample lacks is an empty, named slot.'), next: trans.__('Select some and drag the selection from the side panel into the notebook, or label them here.')
  },
  Label: {
    view: 'label', title: trans.__('Label'), what: trans.__('Asks for the labels that teach the model most, and trains again with them.'),
    read: trans.__('The queue begins with what the model is least sure of; the curve shows what the labels so far have brought.'), next: trans.__('The labels are kept with the sample set and with who gave them.')
  },
  Train: {
    view: 'train', title: trans.__('Train'), what: trans.__('Picks a recipe, its parts and its inputs, trains it, and draws the loss meanwhile.'),
    read: trans.__('The validation curve turns up where the model begins to learn by heart; the weights kept are those of the best epoch.'), next: trans.__('Stop loses nothing: Resume goes on from there. Compare a fused run with the best single modality before believing it.')
  },
  Embedding: {
    view: 'embedding', title: trans.__('Embedding'), what: trans.__('Samples that the model finds alike lie close together. Choose the space: fused, or of one modality.'),
    read: trans.__('Distances between far groups mean little, and axes mean nothing; the badges say how well neighbours are kept and how stable the map is.'), next: trans.__('Draw a lasso: the other views follow.')
  },
  Attribution: {
    view: 'attribution', title: trans.__('Attribution'), what: trans.__('What in each input spoke for the prediction, and what against it, on the data\'s own axes.'),
    read: trans.__('One colour scale for all modalities of a sample; compare with another method, and run the check, before reading much into it.'), next: trans.__('An explanation tells of the model, not of the sky.')
  },
  Attention: {
    view: 'attention', title: trans.__('Attention'), what: trans.__('Which parts of one modality listened to which parts of another.'),
    read: trans.__('Each row of weights sums to one. Attention says where the model looked, not what it made of it.'), next: trans.__('Compare it with the attribution of the same sample.')
  },
  Contributions: {
    view: 'contribution', title: trans.__('Contributions'), what: trans.__('What each kind of data is worth to the prediction: exact Shapley values over all combinations of modalities.'),
    read: trans.__('The bars add up to the difference between the prediction with all data and with none.'), next: trans.__('Response, swap and edit show what the model would say of other data.')
  },
  Evaluation: {
    view: 'evaluation', title: trans.__('Evaluation'), what: trans.__('Where the model is right and wrong on samples it has not seen: confusion, reliability, curves.'),
    read: trans.__('Every number has its interval, the number of samples, and a baseline beside it.'), next: trans.__('A click on a cell selects its samples in all views: look at the wrong ones.')
  },
  'You against the model': {
    view: 'against', title: trans.__('You against the model'), what: trans.__('Tell samples apart by eye, mark where you looked, then see what they are, what the network said, and where it looked.'),
    read: trans.__('Your answers stand beside the network\'s with how many each got right; a class\'s answers make its confusion matrix.'), next: trans.__('Look at those that only one of the two got right.')
  },
  Lesson: {
    view: 'lesson', title: trans.__('Lesson'), what: trans.__('Objectives, questions to answer before the result shows, tasks that the data check, hints, and how far you are.'),
    read: trans.__('An answer is kept before the result is shown and cannot be changed after.'), next: trans.__('The progress can be written to a file for the teacher.')
  }
});

const NAME = 'AstroFuse: ';

/** The title of the view that an element is in, also inside shadow trees, or ''. @param {EventTarget[]} path from the inside out */
export function viewIn(path) {
  const view = /** @type {Element | undefined} */ (path.find(node => node instanceof Element && node.matches('section.af') && (node.getAttribute('aria-label') ?? '').startsWith(NAME)));
  // a lesson bears a title of its own
  return view?.querySelector('.af-lesson') ? 'Lesson' : view?.getAttribute('aria-label').slice(NAME.length) ?? '';
}

export class HelpPanel extends Widget {
  /** @param {any} lab */
  constructor(lab) {
    super();
    const { trans } = lab;
    this.id = 'astrofuse-lab-help';
    this.addClass('af-Help');
    this.title.caption = trans.__('AstroFuse Lab: help with the view in use');
    this.title.icon = lab.icon;
    this._lab = lab;
    this._shown = '';
    this.last = '';
    this._follow = event => {
      const title = viewIn(event.composedPath());
      if (title) {
        this.last = title;
        if (this.isVisible) {
          this.show_(title);
        }
      }
    };
    // outputs take no shortcuts of JupyterLab: inside a view its last key alone is listened to
    this._keys = event => {
      if (event.code === 'KeyH' && event.shiftKey && (event.altKey || (event.ctrlKey && /Mac/.test(navigator.platform))) && viewIn(event.composedPath())) {
        event.preventDefault();
        event.stopPropagation();
        void lab.app.commands.execute('astrofuse-lab:help');
      }
    };
    document.addEventListener('keydown', this._keys, true);
    document.addEventListener('focusin', this._follow, true);
    document.addEventListener('pointerdown', this._follow, true);
  }

  dispose() {
    document.removeEventListener('keydown', this._keys, true);
    document.removeEventListener('focusin', this._follow, true);
    document.removeEventListener('pointerdown', this._follow, true);
    super.dispose();
  }

  onAfterShow() {
    this.show_(this.last || this._shown);
  }

  /** Show the page of a view; without one, all of them. @param {string} title */
  show_(title) {
    const { trans } = this._lab;
    const all = pages(trans);
    const page = all[title];
    this._shown = page ? title : '';
    const pick = around('select', 'af-Help-pick', [element('option', '', trans.__('All views'), { value: '' }), ...Object.entries(all).map(([name, one]) => element('option', '', one.title, { value: name }))], { 'aria-label': trans.__('View') });
    pick.value = this._shown;
    pick.onchange = () => this.show_(pick.value);
    const lines = page ? this._page(page) : Object.values(all).map(one => around('div', 'af-Help-one', [element('h3', '', one.title), element('p', '', one.what)]));
    this.node.replaceChildren(around('header', 'af-Help-head', [element('h2', '', trans.__('Help with views')), pick]), ...lines);
  }

  _page(page) {
    const { trans, folder } = this._lab;
    const cell = cells(trans)[page.view === 'header' ? 'workbench' : page.view];
    const keys = (KEYS[page.view] ?? []).flatMap(([key, what]) => [around('dt', '', key.split(' ').map(one => element('kbd', '', one))), element('dd', '', what)]);
    const insert = cell && button('af-Panel-action', trans.__('Insert this cell'), () => insertCell(this._lab, page.view === 'header' ? 'workbench' : page.view, folder()));
    return [
      element('h3', '', page.title), element('p', '', page.what),
      element('h4', '', trans.__('How to read it')), element('p', '', page.read),
      element('h4', '', trans.__('What next')), element('p', '', page.next),
      ...(keys.length ? [element('h4', '', trans.__('Keys, after a click into it')), around('dl', 'af-Help-keys', keys)] : []),
      ...(cell ? [element('h4', '', trans.__('In Python')), element('pre', 'af-Help-code', cell.code), insert] : [])
    ];
  }
}
