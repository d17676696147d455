// What the card of a sample set shows.

import { icon } from '../shared/colours.js';
import { around, element, size } from './dom';
import { preview } from './preview';

/** What one modality is, in words. @param {any} trans @param {any} spec */
function described(trans, spec) {
  const shape = spec.shape.join(' × ');
  const scale = spec.scale ? trans.__('%1″ a pixel', spec.scale) : '';
  const channels = spec.channels.length ? spec.channels.slice(0, 12).join(', ') : '';
  return [shape, channels, scale, spec.unit].filter(Boolean).join(' · ');
}

/** Rows of a definition list; what is empty is left out. @param {[string, any][]} told */
export const facts = told => around('dl', 'af-Card-facts', told.filter(([, value]) => value).flatMap(([name, value]) => [element('dt', '', name), element('dd', '', String(value))]));

function checked(manifest) {
  if (!Number.isInteger(manifest.objects) || manifest.objects < 0 || typeof manifest.modalities !== 'object') {
    throw new Error('objects or modalities are missing');
  }
  for (const spec of Object.values(manifest.modalities)) {
    if (!Array.isArray(spec.shape) || !spec.shape.every(n => Number.isInteger(n) && n > 0) || !Array.isArray(spec.channels)) {
      throw new Error(`modality ${spec.name}`);
    }
  }
}

/** Columns of one role, as a list. */
const columns = (roles, role) => Object.keys(roles ?? {}).filter(name => roles[name] === role);

/** @param {any} lab @param {string} path @param {any} manifest */
export function samplesParts(lab, path, manifest) {
  const { trans } = lab;
  checked(manifest);
  const card = manifest.card ?? {};
  const table = columns(manifest.roles, 'input');
  const kinds = [...Object.entries(manifest.modalities).map(([name, spec]) => [name, spec.kind, described(trans, spec)]), ...(table.length ? [['table', 'table', table.slice(0, 12).join(', ') + (table.length > 12 ? ' …' : '')]] : [])];
  const bytes = Object.values(manifest.files ?? {}).reduce((sum, file) => sum + (file.bytes || 0), 0);
  const caption = element('p', 'af-Card-caption', trans.__('Drawing the first samples …'), { role: 'status' });
  const pictures = element('table', 'af-Card-preview', '', { 'aria-label': trans.__('Preview') });
  void preview(lab, path, manifest).then(
    lines => {
      caption.textContent = lines.length ? trans._n('The first sample', 'The first %1 samples', Math.min(6, manifest.objects)) : trans.__('No preview: the arrays cannot be read from here. Look opens them in Python.');
      pictures.append(...lines);
    },
    () => (caption.textContent = trans.__('No preview: the server does not give these files.'))
  );
  const modalities = around('ul', 'af-Card-modalities', kinds.map(([name, kind, text]) => around('li', '', [icon(kind), element('strong', '', String(name).replaceAll('_', ' ')), element('span', '', text)])));
  return {
    kind: trans.__('Sample set'), title: card.title || card.name, simulated: Boolean(card.simulated),
    body: [
      element('p', 'af-Card-sum', [trans._n('%1 object', '%1 objects', manifest.objects), bytes ? size(bytes) : ''].filter(Boolean).join(' · ')),
      caption, pictures,
      element('h2', '', trans.__('Data')), modalities,
      facts([
        [trans.__('To predict'), columns(manifest.roles, 'target').join(', ')],
        [trans.__('Groups'), columns(manifest.roles, 'group').join(', ')],
        [trans.__('Licence'), card.licence], [trans.__('To cite'), card.citation], [trans.__('Notes'), (card.notes ?? []).join(' ')]
      ])
    ]
  };
}
