// What lies under the folder in which JupyterLab was started: target tables, sample sets, runs.
// Only the contents API is used; nothing is executed.

const MOST_BYTES = 2 * 1024 * 1024; // larger tables are not read to see whether they hold targets
const SKIP = /^(\.|__|node_modules$|site-packages$)/;
const TABLE = /\.(csv|ecsv)$/i;

/** JSON of a file, or null where it cannot be read as such. */
async function json(contents, path) {
  try {
    const file = await contents.get(path, { content: true, type: 'file', format: 'text' });
    return JSON.parse(file.content);
  } catch {
    return null; // unreadable, half-written or not JSON: simply not one of ours
  }
}

/** Does this text table have columns ra and dec? */
async function isTargets(contents, item) {
  if (!TABLE.test(item.name) || !(item.size <= MOST_BYTES)) {
    return false;
  }
  try {
    const file = await contents.get(item.path, { content: true, type: 'file', format: 'text' });
    const header = String(file.content).split('\n', 400).find(line => line.trim() && !line.startsWith('#')) ?? '';
    const names = header.toLowerCase().split(/[\s,;]+/).map(name => name.replace(/"/g, ''));
    return names.some(n => /^(ra|raj2000|ra_deg|ramean)$/.test(n)) && names.some(n => /^(dec|dej2000|decj2000|dec_deg|decmean)$/.test(n));
  } catch {
    return false;
  }
}

/** A sample set as the panel shows it. */
function sampleSet(path, name, manifest, trans) {
  const modalities = Object.keys(manifest.modalities ?? {});
  const table = Object.values(manifest.roles ?? {}).includes('input') ? ['table'] : [];
  const about = [trans._n('%1 object', '%1 objects', manifest.objects ?? 0), [...modalities.filter(m => m !== 'text'), ...table, ...modalities.filter(m => m === 'text')].join(', ')];
  return { kind: 'samples', path, name, about: about.filter(Boolean).join(' · '), simulated: Boolean(manifest.card?.simulated) };
}

/** A run as the panel shows it. */
function oneRun(path, name, run, trans) {
  const { recipe, problem, record, modalities = [] } = run;
  const about = [recipe?.name, problem?.target && trans.__('target %1', problem.target), modalities.join(', '), record?.state === 'stopped' ? trans.__('stopped') : ''];
  return { kind: 'runs', path, name, about: about.filter(Boolean).join(' · '), simulated: Boolean(record?.samples?.card?.simulated) };
}

/**
 * Look through folders, nearest first.
 * @returns {Promise<{targets: object[], samples: object[], runs: object[], searched: number, cut: boolean}>}
 *   `cut`: there were more folders than `most`.
 */
export async function find(contents, depth, most, trans) {
  const found = { targets: [], samples: [], runs: [], searched: 0, cut: false };
  let level = [''];
  for (let deep = 0; deep <= depth && level.length; deep++) {
    const next = [];
    for (const path of level) {
      if (found.searched >= most) {
        found.cut = true;
        return found;
      }
      found.searched += 1;
      next.push(...(await look(contents, path, found, trans)));
    }
    level = next;
  }
  return found;
}

/** Note what one folder is or holds; returns the folders in it that are still to be searched. */
async function look(contents, path, found, trans) {
  let folder;
  try {
    folder = await contents.get(path, { content: true, type: 'directory' });
  } catch {
    return []; // removed meanwhile, or not readable
  }
  const items = folder.content ?? [];
  const has = name => items.some(item => item.name === name && item.type !== 'directory');
  if (has('manifest.json')) {
    const manifest = await json(contents, `${path}/manifest.json`);
    if (manifest?.format === 'astrofuse-samples') {
      found.samples.push(sampleSet(path, folder.name || '.', manifest, trans));
      return [];
    }
  }
  if (has('run.json')) {
    const run = await json(contents, `${path}/run.json`);
    if (run?.format === 'astrofuse-run') {
      found.runs.push(oneRun(path, folder.name || '.', run, trans));
      return [];
    }
  }
  for (const item of items) {
    if (item.type !== 'directory' && (await isTargets(contents, item))) {
      found.targets.push({ kind: 'targets', path: item.path, name: item.name, about: '', simulated: false });
    }
  }
  return items.filter(item => item.type === 'directory' && !SKIP.test(item.name)).map(item => item.path);
}

/** The items of a folder, asked for step by step: the server logs an error for a folder that is not there. */
async function items(contents, path) {
  let folder = await contents.get('', { content: true, type: 'directory' });
  for (const step of path.split('/').filter(Boolean)) {
    const next = folder.content.find(item => item.name === step && item.type === 'directory');
    if (!next) {
      return [];
    }
    folder = await contents.get(next.path, { content: true, type: 'directory' });
  }
  return folder.content;
}

/** Paths of the numbered notebooks of the first of these folders that has any, in order. */
export async function tutorials(contents, folders) {
  for (const path of folders) {
    const names = (await items(contents, path)).filter(item => item.type === 'notebook' && /^\d/.test(item.name)).map(item => item.path);
    if (names.length) {
      return names.sort();
    }
  }
  return [];
}
