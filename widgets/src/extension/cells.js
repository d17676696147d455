// Code that the launcher, the palette and the side panel write into notebooks.

const IMPORT = 'import astrofuse_lab as af';

/** What a cell that needs these names can start from, where the notebook does not define them yet. */
const STARTS = {
  samples: 'samples = af.load_samples("practice", n=600)',
  run: 'run = af.train("late_fusion", samples, target="label")'
};

/** Cells by id; `needs` in the order in which they must be defined; `run`: executed at once. */
export const CELLS = {
  fetch: { label: 'Fetch', caption: 'Fetch several kinds of data for a list of targets', code: 'af.FetchWidget()', needs: [] },
  samples: { label: 'Samples', caption: 'Look at single samples', code: 'af.SamplesWidget(samples)', needs: ['samples'] },
  train: { label: 'Train', caption: 'Train a fusion model and watch it learn', code: 'af.TrainWidget(samples)', needs: ['samples'] },
  embedding: { label: 'Embedding', caption: 'Map of what the model has learnt, with a lasso', code: 'af.EmbeddingWidget(run, samples)', needs: ['samples', 'run'] },
  attribution: { label: 'Attribution', caption: 'What in each input spoke for the prediction', code: 'af.AttributionWidget(run, samples)', needs: ['samples', 'run'] },
  attention: { label: 'Attention', caption: 'Which modality listened to which', code: 'af.AttentionWidget(run, samples)', needs: ['samples', 'run'] },
  contribution: { label: 'Contributions', caption: 'What each kind of data is worth, and what the model says of other data', code: 'af.ContributionWidget(run, samples)', needs: ['samples', 'run'] },
  workbench: { label: 'Workbench', caption: 'All of it in one linked view', code: 'af.workbench(run, samples)', needs: ['samples', 'run'], run: true },
  doctor: { label: 'Doctor', caption: 'Check versions, device, memory, cache and front end', code: 'af.doctor()', needs: [], run: true }
};

/** A Python string literal; JSON's escapes are a subset of Python's. */
export const quoted = text => JSON.stringify(text);

/** Does a notebook, given as all its code, define this name? */
const defines = (source, name) => new RegExp(`^[ \\t]*(\\w+[ \\t]*,[ \\t]*)*${name}[ \\t]*(,[ \\t]*\\w+[ \\t]*)*=[^=]`, 'm').test(source);

/** The code of one cell, preceded by the import and the names it needs, where the notebook lacks them. */
export function complete(code, needs, source) {
  const lines = needs.filter(name => !defines(source, name)).map(name => STARTS[name]);
  if (!/^[ \t]*import astrofuse_lab as af\b/m.test(source)) {
    lines.unshift(IMPORT);
  }
  return [...lines, code].join('\n');
}

/** Path of `to` as code in a notebook at `notebook` must write it: kernels start in the folder of their notebook. */
export function relative(notebook, to) {
  const here = notebook.split('/').slice(0, -1);
  const there = to.split('/');
  while (here.length && there.length && here[0] === there[0]) {
    here.shift();
    there.shift();
  }
  return [...here.map(() => '..'), ...there].join('/') || '.';
}

/** The cells of a new analysis. */
export const STARTER = [
  `import astropy.units as u\n\n${IMPORT}`,
  'samples = af.load_samples("practice", n=600)    # simulated; af.list_samples() shows the real sets\nsamples',
  'af.SamplesWidget(samples)',
  'af.TrainWidget(samples)'
];
