// What the card of a run shows: its figures with their intervals, its learning curve, and how it was made.

import { facts } from './card_samples';
import { around, duration, element, figure } from './dom';
import { modalityColour } from '../shared/colours.js';
import { s } from '../shared/dom.js';

const [W, H] = [420, 132];
const ROWS = 8;

/** Loss of training and validation by epoch, as lines with their ends labelled. @param {any} trans @param {any[]} history */
function curve(trans, history) {
  const node = s('svg', { viewBox: `0 0 ${W} ${H}`, class: 'af-Card-curve', role: 'img' });
  const lines = [['train_loss', trans.__('training'), '#7F7F7F'], ['validation_loss', trans.__('validation'), modalityColour('image')]];
  const known = lines.flatMap(([name]) => history.map(row => row[name])).filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const x = i => 44 + (i * (W - 140)) / Math.max(1, history.length - 1);
  const y = value => 10 + ((high - value) / (high - low || 1)) * (H - 38);
  const text = (at, down, said, anchor = 'start') => node.append(s('text', { x: at, y: down, 'text-anchor': anchor }, said));
  const ends = [];
  for (const [name, label, colour] of lines) {
    const path = history.map((row, i) => (Number.isFinite(row[name]) ? `${i && Number.isFinite(history[i - 1][name]) ? 'L' : 'M'}${x(i).toFixed(1)} ${y(row[name]).toFixed(1)}` : '')).join('');
    node.append(s('path', { d: path, style: `fill: none; stroke: ${colour}; stroke-width: 1.6` }));
    const last = history.at(-1)[name];
    if (Number.isFinite(last)) {
      ends.push({ label, at: y(last) });
    }
  }
  ends.sort((a, b) => a.at - b.at).forEach((end, i) => text(x(history.length - 1) + 6, Math.max(end.at + 4, i ? ends[0].at + 18 : 0), end.label));
  text(38, 16, figure(high), 'end');
  text(38, H - 24, figure(low), 'end');
  text(x(0), H - 8, trans.__('epoch %1', history[0].epoch ?? 1), 'start');
  text(x(history.length - 1), H - 8, String(history.at(-1).epoch ?? history.length), 'end');
  const summary = trans.__('Loss by epoch: validation from %1 to %2 in %3 epochs', figure(history[0].validation_loss), figure(history.at(-1).validation_loss), history.length);
  node.setAttribute('aria-label', summary);
  return node;
}

/** The figures of the part that was kept for last, each with its interval and how many samples it rests on. */
function figures(trans, metrics) {
  const part = metrics.some(row => row.part === 'test') ? 'test' : metrics[0]?.part;
  const rows = metrics.filter(row => row.part === part).slice(0, ROWS);
  if (!rows.length) {
    return null;
  }
  const cells = row => [element('th', '', String(row.metric).replaceAll('_', ' '), { scope: 'row' }), element('td', 'af-Card-value', figure(row.value)), element('td', '', `${figure(row.low)} – ${figure(row.high)}`), element('td', '', String(row.n ?? ''))];
  const head = [trans.__('measure'), trans.__('value'), trans.__('95 % interval'), trans.__('samples')].map(name => element('th', '', name, { scope: 'col' }));
  return around('table', 'af-Card-figures', [element('caption', '', trans.__('On the %1 part', String(part))), around('thead', '', [around('tr', '', head)]), around('tbody', '', rows.map(row => around('tr', '', cells(row))))]);
}

/** @param {any} lab @param {string} path @param {any} run */
export function runParts(lab, path, run) {
  const { trans, app } = lab;
  const { recipe, problem, record } = run;
  if (!recipe?.name || !record || !Array.isArray(run.modalities)) {
    throw new Error('recipe, record or modalities are missing');
  }
  const place = element('div', 'af-Card-learning');
  void app.serviceManager.contents.get(`${path}/history.json`, { content: true, type: 'file', format: 'text' }).then(
    file => {
      const history = JSON.parse(file.content);
      if (Array.isArray(history) && history.length > 1) {
        place.append(element('h2', '', trans.__('Learning curve (loss)')), curve(trans, history));
      }
    }
  ).catch(() => null); // a run of no epochs has no curve
  const samples = record.samples ?? {};
  const table = figures(trans, Array.isArray(record.metrics) ? record.metrics : []);
  return {
    kind: trans.__('Run'), title: recipe.title ? `${recipe.name.replaceAll('_', ' ')}: ${recipe.title}` : recipe.name, simulated: Boolean(samples.card?.simulated),
    body: [
      element('p', 'af-Card-sum', [problem?.target && trans.__('predicts %1', problem.target), trans.__('from %1', run.modalities.join(', ').replaceAll('_', ' ')), record.state].filter(Boolean).join(' · ')),
      around('div', 'af-Card-beside', [table, place]),
      element('h2', '', trans.__('How it was made')),
      facts([
        [trans.__('Samples'), samples.card?.title || samples.card?.name], [trans.__('Classes'), (problem?.classes ?? []).join(', ')],
        [trans.__('Epochs'), record.epochs && trans.__('%1, the best was %2', record.epochs, record.best_epoch)], [trans.__('Took'), record.seconds && duration(record.seconds)],
        [trans.__('Parameters'), record.parameters?.toLocaleString('en')], [trans.__('Seed'), String(record.seed ?? '')], [trans.__('Device'), record.device]
      ])
    ]
  };
}
