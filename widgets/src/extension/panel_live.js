// Rows of the side panel that kernels fill: jobs with progress and Stop, selections, tables that other tools sent.

import { around, button, duration, element, size } from './dom';
import { draggable } from './drag';
import { insertCode } from './notebooks';

/** @param {any} trans */
const states = trans => ({ stopping: trans.__('stopping'), stopped: trans.__('stopped'), finished: trans.__('finished'), failed: trans.__('failed') });

/** A share as a bar; without a value where the end cannot be known. */
function bar(done, label) {
  const node = element('progress', 'af-Panel-bar', '', { max: 1, 'aria-label': label });
  if (done >= 0) {
    node.value = Math.min(1, done);
  }
  return node;
}

function stopper(lab, desk, job) {
  const { trans } = lab;
  if (job.state === 'running' && (desk.deaf(job) || !job.can_stop)) {
    const title = trans.__('This cannot be asked to stop, or the kernel does not hear it while a cell is running: interrupt the cell');
    return button('af-Panel-action', trans.__('Interrupt'), () => desk.kernel?.interrupt(), { title, 'aria-label': trans.__('Interrupt %1', job.title) });
  }
  if (!job.can_stop) {
    return null;
  }
  const asked = desk.asked.has(job.number);
  return button('af-Panel-action', trans.__('Stop'), () => desk.stop(job.number), { 'aria-label': trans.__('Stop %1', job.title), ...(asked ? { disabled: '' } : {}) });
}

function jobRow(lab, desk, job) {
  const { trans } = lab;
  const running = job.state === 'running' || job.state === 'stopping';
  const percent = job.done >= 0 && running ? `${Math.round(100 * job.done)} %` : '';
  const said = [running ? job.said : '', states(trans)[job.state] ?? '', percent, duration(job.seconds)].filter(Boolean).join(' · ');
  return around('li', 'af-Panel-item', [
    element('div', 'af-Panel-name', job.title),
    running ? bar(job.done, job.title) : null,
    element('div', 'af-Panel-about', said),
    element('div', 'af-Panel-about', trans.__('in %1', desk.name())),
    running ? around('div', 'af-Panel-actions', [stopper(lab, desk, job)]) : null
  ], { 'data-state': job.state, 'data-key': `${desk.kernel?.id}/${job.number}/${job.state}` });
}

/** Jobs of all kernels: those that run first. @param {any} lab @param {any[]} desks */
export function jobRows(lab, desks) {
  const jobs = desks.flatMap(desk => desk.told.jobs.map(job => ({ desk, job })));
  const order = ({ job }) => (job.state === 'running' || job.state === 'stopping' ? 0 : 1);
  return jobs.sort((a, b) => order(a) - order(b)).map(({ desk, job }) => jobRow(lab, desk, job));
}

function coded(lab, desk, name, about, made, label) {
  const { trans, folder } = lab;
  const insert = button('af-Panel-action', trans.__('Insert'), () => insertCode(lab, () => made, folder()), { 'aria-label': trans.__('Insert %1', label) });
  const row = around('li', 'af-Panel-item', [
    element('div', 'af-Panel-name', name), element('div', 'af-Panel-about', about), element('div', 'af-Panel-about', trans.__('in %1', desk.name())), around('div', 'af-Panel-actions', [insert])
  ], { title: trans.__('Drag into a notebook'), 'data-key': `${desk.kernel?.id}/${made}` });
  return draggable(row, lab, { make: () => made, needs: [], label: name });
}

/** What is selected in views. @param {any} lab @param {any[]} desks */
export function selectionRows(lab, desks) {
  const { trans } = lab;
  return desks.flatMap(desk => desk.told.selections.map(one => {
    const name = trans._n('%1 sample selected', '%1 samples selected', one.count);
    return coded(lab, desk, name, '', one.code, name);
  }));
}

/** Tables that other tools sent by SAMP. @param {any} lab @param {any[]} desks */
export function receivedRows(lab, desks) {
  const { trans } = lab;
  return desks.flatMap(desk => desk.told.received.map(one => coded(lab, desk, one.name, trans.__('%1 from %2', trans._n('%1 row', '%1 rows', one.rows), one.sender), one.code, one.name)));
}

/** What the status bar says of one kernel: device, memory, running job. @param {any} lab @param {any} desk */
export function statusText(lab, desk) {
  const { trans } = lab;
  const { device, memory, total, jobs } = desk.told;
  const running = jobs.filter(job => job.state === 'running' || job.state === 'stopping');
  const now = running[0];
  const job = now && [now.title, now.done >= 0 ? `${Math.round(100 * now.done)} %` : '', running.length > 1 ? trans.__('and %1 more', running.length - 1) : ''].filter(Boolean).join(' ');
  return [device, trans.__('%1 of %2', size(memory), size(total)), job].filter(Boolean).join(' · ');
}
