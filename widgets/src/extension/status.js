// The item in the status bar: device, memory and running job of the kernel behind the notebook in front.

import { Widget } from '@lumino/widgets';

import { button } from './dom';
import { statusText } from './panel_live';

export class StatusItem extends Widget {
  /** @param {any} lab */
  constructor(lab) {
    super();
    const { trans, app, desks, settings } = lab;
    this.addClass('af-Status');
    this._lab = lab;
    this._button = button('af-Status-button jp-mod-minimal', '', () => app.commands.execute('astrofuse-lab:panel'), { title: trans.__('AstroFuse Lab: device, memory and running job of this kernel. Opens the side panel') });
    this.node.append(this._button);
    desks.changed.connect(this._draw, this);
    settings.changed.connect(this._draw, this);
    app.shell.currentChanged?.connect(this._draw, this);
    this._draw();
  }

  /** The kernel it speaks of. */
  get desk() {
    const { desks, app } = this._lab;
    const desk = desks.of(app.shell.currentWidget);
    return desk?.told ? desk : null;
  }

  _draw() {
    const desk = this._lab.settings.composite.statusBar ? this.desk : null;
    this.node.hidden = !desk;
    this._button.textContent = desk ? statusText(this._lab, desk) : '';
  }
}
