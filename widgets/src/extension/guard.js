// Saved states of widgets hold the source of their views, since that is how anywidget works, and JupyterLab's widget manager makes such models when a
// notebook opens, trusted or not. A stranger's notebook must run nothing by being opened, so the states of one that is not trusted are taken out first.

import { Notification } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

/** Whether the server knows the notebook as one that its user ran or trusted: it marks all code cells alike. */
function isTrusted(model) {
  const code = [...model.cells].filter(cell => cell.type === 'code');
  return code.length > 0 && code.every(cell => cell.trusted);
}

/** Take saved states out of a notebook that is not trusted; gives whether there were any. */
export function takeStatesOut(model) {
  if (isTrusted(model) || model.getMetadata('widgets') === undefined) {
    return false;
  }
  const { dirty } = model;
  model.deleteMetadata('widgets');
  model.dirty = dirty; // the file changes only when its user saves it
  return true;
}

function guard(panel, trans) {
  // before the kernel is there, and so before the widget manager looks
  void panel.context.ready.then(() => {
    if (takeStatesOut(panel.context.model)) {
      Notification.info(trans.__('This notebook comes from elsewhere: widgets saved in it are not shown. Read it, then run its cells.'), { autoClose: 12000 });
    }
  });
}

export const guardPlugin = {
  id: 'astrofuse-lab:guard',
  description: 'Takes saved widget states, which are code, out of notebooks that are not trusted.',
  autoStart: true,
  requires: [INotebookTracker],
  optional: [ITranslator],
  activate: (_app, tracker, translator) => {
    const trans = (translator ?? nullTranslator).load('astrofuse_lab');
    tracker.widgetAdded.connect((_, panel) => guard(panel, trans));
    tracker.forEach(panel => guard(panel, trans));
  }
};
