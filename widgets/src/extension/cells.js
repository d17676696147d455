// Code that the launcher, the palette, the side panel and the cards write into notebooks.

const IMPORT = 'import astrofuse_lab as af';

/** What a cell that needs these names can start from, where the notebook does not define them yet. */
const STARTS = {
  samples: 'samples = af.load_samples("practice", n=600)',
  run: 'run = af.train("late_fusion", samples, target="label")'
};

/** Cells by id; `needs` in the order in which they must be defined; `run`: executed at once. @param {any} trans */
export const cells = trans => ({
  fetch: { label: trans.__('Fetch'), caption: trans.__('Fetch several kinds of data for a list of targets'), code: 'af.FetchWidget()', needs: [] },
  samples: { label: trans.__('Samples'), caption: trans.__('Look at single samples'), code: 'af.SamplesWidget(samples)', needs: ['samples'] },
  label: { label: trans.__('Label'), caption: trans.__('Label samples and learn from the labels'), code: 'af.LabelWidget(samples)', needs: ['samples'] },
  train: { label: trans.__('Train'), caption: trans.__('Train a fusion model and watch it learn'), code: 'af.TrainWidget(samples)', needs: ['samples'] },
  embedding: { label: trans.__('Embedding'), caption: trans.__('Map of what the model has learnt, with a lasso'), code: 'af.EmbeddingWidget(run, samples)', needs: ['samples', 'run'] },
  attribution: { label: trans.__('Attribution'), caption: trans.__('What in each input spoke for the prediction'), code: 'af.AttributionWidget(run, samples)', needs: ['samples', 'run'] },
  attention: { label: trans.__('Attention'), caption: trans.__('Which modality listened to which'), code: 'af.AttentionWidget(run, samples)', needs: ['samples', 'run'] },
  contribution: { label: trans.__('Contributions'), caption: trans.__('What each kind of data is worth, and what the model says of other data'), code: 'af.ContributionWidget(run, samples)', needs: ['samples', 'run'] },
  evaluation: { label: trans.__('Evaluation'), caption: trans.__('Where the model is right and wrong'), code: 'af.EvaluationWidget(run, samples)', needs: ['samples', 'run'] },
  workbench: { label: trans.__('Workbench'), caption: trans.__('All of it in one linked view'), code: 'af.workbench(run, samples)', needs: ['samples', 'run'], run: true },
  samp: { label: trans.__('SAMP'), caption: trans.__('Send samples and selections to TOPCAT, Aladin and other tools, and take theirs'), code: 'link = af.SampLink(samples)\nlink.send()', needs: ['samples'] },
  doctor: { label: trans.__('Doctor'), caption: trans.__('Check versions, device, memory, cache and front end'), code: 'af.doctor()', needs: [], run: true }
});

/** What can be done with a table of targets, a sample set or a run that was found: label and code; `path` is Python source. @param {any} trans */
export const actions = trans => ({
  targets: [
    { label: trans.__('Load'), code: path => `from astropy.table import Table\n\ntargets = af.Targets.from_table(Table.read(${path}))\ntargets` },
    { label: trans.__('Fetch'), code: path => `from astropy.table import Table\n\ntargets = af.Targets.from_table(Table.read(${path}))\naf.FetchWidget(targets)` }
  ],
  samples: [
    { label: trans.__('Load'), code: path => `samples = af.SampleSet.open(${path})\nsamples` },
    { label: trans.__('Look'), code: path => `samples = af.SampleSet.open(${path})\naf.SamplesWidget(samples)` },
    { label: trans.__('Train'), code: path => `samples = af.SampleSet.open(${path})\naf.TrainWidget(samples)` }
  ],
  runs: [
    { label: trans.__('Load'), code: path => `run = af.Run.open(${path})\nrun.metrics` },
    { label: trans.__('Learning curve'), code: path => `run = af.Run.open(${path})\naf.plot.learning_curve(run)` }
  ]
});

/** A Python string literal; JSON's escapes are a subset of Python's, but for characters beyond 16 bits, which stay as they are. @param {string} text */
export const quoted = text => JSON.stringify(text);

/** Does a notebook, given as all its code, define this name? */
const defines = (source, name) => new RegExp(`^[ \\t]*(\\w+[ \\t]*,[ \\t]*)*${name}[ \\t]*(,[ \\t]*\\w+[ \\t]*)*=[^=]`, 'm').test(source);

/** The code of one cell, preceded by the import and the names it needs, where the notebook lacks them. @param {string} code @param {string[]} needs @param {string} source */
export function complete(code, needs, source) {
  const lines = needs.filter(name => !defines(source, name)).map(name => STARTS[name]);
  if (/\baf\./.test([...lines, code].join('\n')) && !/^[ \t]*import astrofuse_lab as af\b/m.test(source)) {
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

/** The same, where kernels run elsewhere and see JupyterLab's folder at `root`. @param {string} root @param {string} notebook @param {string} to */
export const pathFor = (root, notebook, to) => (root ? `${root.replace(/\/+$/, '')}/${to}` : relative(notebook, to));

/** The cells of a new analysis. */
export const STARTER = [
  `import astropy.units as u\n\n${IMPORT}`,
  'samples = af.load_samples("practice", n=600)    # simulated; af.list_samples() shows the real sets\nsamples',
  'af.SamplesWidget(samples)',
  'af.TrainWidget(samples)'
];
