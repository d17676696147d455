// Dialogs that ask which tutorial, sample set or run to open. What there is comes from the folders, not from Python.

import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';

import { find, tutorials } from './finds';

/** Name and folder: two things of one name stay apart. */
const labelled = (items, trans) => items.map(item => [item.name, item.about, item.simulated ? trans.__('practice sky') : '', item.path.includes('/') ? trans.__('in %1', item.path.split('/').slice(0, -1).join('/')) : ''].filter(Boolean).join(' · '));

const nothing = (title, body, trans) => showDialog({ title, body, buttons: [Dialog.okButton({ label: trans.__('Close') })] });

/** Ask for one of these; null where it was left. */
async function ask(title, label, items, names, trans) {
  const answer = await InputDialog.getItem({ title, label, items: names, okLabel: trans.__('Open') });
  return answer.button.accept ? items[names.indexOf(answer.value)] ?? null : null;
}

/** Open one of the tutorials; a new analysis where there is none. */
export async function openTutorial(lab, folder) {
  const { app, trans, settings } = lab;
  const paths = await tutorials(app.serviceManager.contents, settings.composite.tutorials);
  if (!paths.length) {
    return app.commands.execute('astrofuse-lab:new', { cwd: folder });
  }
  const names = paths.map(path => path.split('/').at(-1).replace(/\.ipynb$/, '').replaceAll('_', ' '));
  const path = paths.length === 1 ? paths[0] : await ask(trans.__('Tutorials'), trans.__('Each takes 20 to 40 minutes'), paths, names, trans);
  return path && app.commands.execute('docmanager:open', { path });
}

const WORDS = trans => ({
  samples: [trans.__('Open a sample set'), trans.__('Sample sets under this folder'), trans.__('No sample set was found under this folder. samples.save("my_samples") writes one; the settings say how deep to look.')],
  runs: [trans.__('Open a run'), trans.__('Runs under this folder'), trans.__('No run was found under this folder. run.save("my_run") writes one; the settings say how deep to look.')]
});

/** Ask for one of what was found; null where it was left or there is none. @param {any} lab @param {'samples' | 'runs'} kind @param {string} heading */
async function choose(lab, kind, heading = '') {
  const { app, trans, settings } = lab;
  const [title, label, empty] = WORDS(trans)[kind];
  const { depth, folders } = settings.composite;
  const items = (await find(app.serviceManager.contents, depth, folders, trans))[kind];
  if (!items.length) {
    await nothing(heading || title, empty, trans);
    return null;
  }
  return items.length === 1 ? items[0] : ask(heading || title, label, items, labelled(items, trans), trans);
}

/** The samples to look at a run with. @param {any} lab */
export const chooseSamples = lab => choose(lab, 'samples', lab.trans.__('Samples to look at this run with'));

/** Open the card of a sample set or run that was found. @param {any} lab @param {'samples' | 'runs'} kind */
export async function openFound(lab, kind) {
  const item = await choose(lab, kind);
  return item && lab.app.commands.execute('astrofuse-lab:open-card', { path: item.path });
}
