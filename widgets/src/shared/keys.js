// The keys of each view, in one place: a view's own ? lists them, and so does the workbench's.

/** @type {Record<string, [string, string][]>} */
export const KEYS = {
  fetch: [["f", "fetch, or continue"], ["e", "estimate"], ["a", "align"], ["/", "search the surveys"], ["drag", "select targets, or draw a region; with shift add, with alt take away"], ["← → ↑ ↓", "on the sky: to the target there; space selects or unselects it"], ["Esc", "stop; else clear the selection"]],
  samples: [["← →", "previous, next sample"], ["space", "select or unselect it"], ["1 … 9", "label it, or take the label away"], ["0", "take the label away"], ["n", "write a note"], ["r", "raw beside aligned"], ["m", "mask on or off"], ["/", "search"], ["Esc", "clear the selection, then search and filters"]],
  train: [["t", "train, or resume"], ["Esc", "stop"]],
  embedding: [["drag", "lasso; with shift add, with alt take away"], ["click", "bring a sample into focus"], ["← → ↑ ↓", "on a map: to the neighbour there; with shift move the map; elsewhere: page through the selection"], ["[ ]", "page through the selection, or through all"], ["space", "on a map: select or unselect the sample in focus"], ["v", "select all in view"], ["+ −", "zoom"], ["0", "show all"], ["l", "lasso"], ["p", "move the map"], ["c", "a second map beside it, or none"], ["/", "search; Enter selects what was found"], ["k", "colour by"], ["Esc", "clear the search and the selection"]],
  attribution: [["← →", "page through the selection, or through all"], ["o", "overlay on or off"], ["s", "one colour scale, or one each"], ["c", "compare with another method, class or model, or end that"], ["v", "check this map"], ["shift ← → ↑ ↓", "on a drawing: read its values"], ["/", "go to an id"], ["Esc", "clear the selection"]],
  attention: [["← →", "page through the selection, or through all"], ["o", "overlay on or off"], ["m r g", "mean of layers, rollout, weighted by gradients"], ["shift ← → ↑ ↓", "on a drawing: read its values"], ["/", "go to an id"], ["Esc", "clear the selection"]],
  evaluation: [["click", "select a cell, bin, point, or what a curve takes; with shift add, with alt take away"], ["drag", "select points in a box"], ["arrows Enter", "go between cells, bins or points, and select"], ["w", "select what is wrong"], ["← →", "page through the selection"], ["Esc", "clear the selection"]],
  contribution: [["← →", "page through the selection, or through all"], ["1 2 3 4", "this sample, all samples, response, swap and edit"], ["/", "go to an id"], ["Esc", "clear the selection"]],
  label: [["1 … 9", "label it"], ["0 n", "not sure"], ["u", "undo"], ["y", "redo"], ["← →", "previous, next in the queue"], ["t", "retrain"], ["Esc", "stop"]],
  lesson: [["↑ ↓", "between the choices of a question"], ["Enter", "store or check what was typed"]],
  against: [["1 … 9", "say what it is"], ["← →", "previous, next sample"], ["m", "mark the place that is read (shift ← → ↑ ↓ reads)"], ["Esc", "take the marks away"]],
  header: [["1 2 3 4", "go to a step, where the view has no digits of its own"], ["< >", "previous, next step, from any view"], ["c", "show or hide the notebook so far"], ["w", "save: session and page"]],
};
