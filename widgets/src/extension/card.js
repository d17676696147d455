// A sample set's or run's folder as a tab: what it is, a preview, and what can be done with it. manifest.json and run.json open so.

import { MainAreaWidget } from '@jupyterlab/apputils';
import { ABCWidgetFactory } from '@jupyterlab/docregistry';
import { Widget } from '@lumino/widgets';

import { actions, pathFor, quoted } from './cells';
import { runParts } from './card_run';
import { samplesParts } from './card_samples';
import { around, button, element } from './dom';
import { draggable } from './drag';
import { insertCode } from './notebooks';

export const FACTORY = 'AstroFuse Lab card';
export const FILE_TYPE = 'astrofuse-folder';
const FORMATS = { 'astrofuse-samples': 'samples', 'astrofuse-run': 'runs' };

/** A file's text as JSON of ours with its kind, or null. @param {string} text */
export function ours(text) {
  try {
    const told = JSON.parse(text);
    return told && typeof told === 'object' && told.format in FORMATS ? { kind: FORMATS[told.format], told } : null;
  } catch {
    return null;
  }
}

class Card extends Widget {
  constructor(context, lab) {
    super();
    this.addClass('af-Card');
    this.node.tabIndex = -1;
    this._context = context;
    this._lab = lab;
    void context.ready.then(() => {
      this._draw();
      context.model.contentChanged.connect(this._draw, this);
    });
  }

  /** Foreign files of the same name open as they always did. */
  _leave() {
    const { app } = this._lab;
    const { path } = this._context;
    void app.commands.execute('docmanager:open', { path, factory: 'JSON' }).catch(() => app.commands.execute('docmanager:open', { path, factory: 'Editor' }));
    this.parent?.dispose();
  }

  _draw() {
    if (this.isDisposed) {
      return;
    }
    const found = ours(this._context.model.toString());
    if (!found) {
      this._leave();
      return;
    }
    const folder = this._context.path.split('/').slice(0, -1).join('/');
    const name = folder.split('/').at(-1) || '.';
    const { trans } = this._lab;
    try {
      const parts = found.kind === 'samples' ? samplesParts(this._lab, folder, found.told) : runParts(this._lab, folder, found.told);
      const badge = parts.simulated ? element('span', 'af-Panel-badge', trans.__('practice sky'), { title: trans.__('Simulated data') }) : null;
      this.node.replaceChildren(
        around('header', 'af-Card-head', [element('div', 'af-Card-kind', parts.kind), around('h1', '', [parts.title || name, badge]), element('div', 'af-Card-path', folder || '.')]),
        this._verbs(found.kind, folder, name),
        ...parts.body
      );
    } catch (error) {
      // written by another program, or damaged: say so, and leave the way to its text
      const text = trans.__('This folder says that it is ours but cannot be shown (%1).', String(error));
      this.node.replaceChildren(element('h1', '', name), element('p', 'af-Card-error', text), button('af-Card-verb', trans.__('Open the file as text'), () => this._text()));
    }
  }

  _text() {
    void this._lab.app.commands.execute('docmanager:open', { path: this._context.path, factory: 'Editor' });
  }

  _verbs(kind, folder, name) {
    const { trans, app, settings } = this._lab;
    const beside = folder.split('/').slice(0, -1).join('/');
    const make = act => notebook => act.code(quoted(pathFor(settings.composite.root, notebook, folder)));
    const made = actions(trans)[kind].map(act => {
      const one = button('af-Card-verb', act.label, () => insertCode(this._lab, make(act), beside), { title: trans.__('Inserts a cell into the notebook in front, or a new one; it can be dragged there too') });
      return draggable(one, this._lab, { make: make(act), needs: [], label: `${act.label} ${name}` });
    });
    const args = kind === 'samples' ? { samples: folder } : { run: folder };
    made.unshift(button('af-Card-verb jp-mod-accept jp-mod-styled', trans.__('Open in the workbench'), () => app.commands.execute('astrofuse-lab:workbench-tab', args)));
    made.push(button('af-Card-verb', trans.__('Open the file as text'), () => this._text()));
    return around('div', 'af-Card-verbs', made, { role: 'group', 'aria-label': trans.__('What to do with it') });
  }
}

/** The tab. Not a DocumentWidget: that one renames its file when its title changes, and this title is the folder's. */
class CardTab extends MainAreaWidget {
  constructor(context, lab) {
    super({ content: new Card(context, lab), reveal: context.ready });
    this.addClass('af-CardTab');
    this.context = context;
    this.title.icon = lab.icon;
    const named = () => (this.title.label = context.path.split('/').at(-2) || context.path);
    context.pathChanged.connect(named);
    named();
  }

  setFragment() {
    // a card has no places to go to
  }
}

/** Makes cards for files named manifest.json and run.json. */
export class CardFactory extends ABCWidgetFactory {
  constructor(lab) {
    super({ name: FACTORY, label: lab.trans.__('AstroFuse Lab card'), fileTypes: [FILE_TYPE], defaultFor: [FILE_TYPE], readOnly: true });
    this._lab = lab;
  }

  createNewWidget(context) {
    return new CardTab(context, this._lab);
  }
}
