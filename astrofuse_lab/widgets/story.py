"""What was done in a workbench, as data, and the notebook that does it again.

Settings are kept, never code: lines of Python are written from them anew, so that a session that somebody else made cannot
bring any with it.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets import fetch_code, train_parts
from astrofuse_lab.widgets.notebook_file import Cell, plain, table

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

SPLIT = {"test": 0.25, "seed": 0}
"""How samples are divided before a training in the workbench."""
MOST_IDS = 2000
"""Selected samples that are written one by one."""
PACKAGES = ("astrofuse-lab", "numpy", "torch", "astropy")
TITLES = {"embedding": "The map", "attribution": "What it looked at", "attention": "What attended to what", "contribution": "What each modality is worth", "evaluation": "Right and wrong"}


@dataclass
class Story:
    """The steps so far; all of it can be JSON.

    Attributes
    ----------
    begun : str
        When, ISO 8601, UTC.
    fetched : dict
        `fetch_code.Settings` of the fetch that the samples come from; empty where they were given.
    counts : list of list
        Of that fetch: survey, found, empty, failed, pending.
    trainings : list of dict
        settings as of `TrainWidget`, state, epochs, metrics (rows of part, metric, value, low, high, n), and `split`, whether there was one.
    compared : dict
        epochs, 0 for the recipe's own, and verdict of the comparison; empty where there is none.
    """

    begun: str = ""
    fetched: dict[str, Any] = field(default_factory=dict)
    counts: list[list[Any]] = field(default_factory=list)
    trainings: list[dict[str, Any]] = field(default_factory=list)
    compared: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Story":
        """From such a dictionary.

        Raises
        ------
        InputError
            Where something is not of its kind; what it says is not trusted, since it becomes lines of Python.
        """
        made = cls(**{f.name: data[f.name] for f in fields(cls) if f.name in data})
        try:
            if made.fetched:
                made.fetched = asdict(fetch_code.Settings.checked(made.fetched))
            made.trainings = [_training(one) for one in made.trainings]
            made.compared = {"epochs": int(made.compared["epochs"] or 0), "verdict": str(made.compared["verdict"])} if made.compared else {}
            made.counts = [[str(row[0]), *map(int, row[1:5])] for row in made.counts]
            made.begun = str(made.begun)[:40]
        except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
            raise InputError(f"the session's steps cannot be read ({type(error).__name__}: {error}).") from error
        return made


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a training, each of its kind."""
    parts = dict(given.get("parts") or {})
    for role, part in parts.items():
        for one in part.values() if role == "encoders" else (part,):
            train_parts._part(role, one)
    epochs = given.get("epochs")
    return {
        "recipe": str(given["recipe"]), "parts": parts, "target": str(given["target"]), "modalities": [str(name) for name in given["modalities"]],
        "seed": int(given["seed"]), "epochs": None if epochs is None else int(epochs),
    }  # fmt: skip


def _training(given: Mapping[str, Any]) -> dict[str, Any]:
    rows = [{"part": str(r["part"]), "metric": str(r["metric"]), "n": int(r["n"]), **{k: None if r[k] is None else float(r[k]) for k in ("value", "low", "high")}} for r in given["metrics"]]
    return {"settings": _settings(given["settings"]), "state": str(given["state"]), "epochs": int(given["epochs"]), "metrics": rows, "split": bool(given["split"])}


@dataclass(frozen=True)
class Told:
    """What a notebook is written from.

    Attributes
    ----------
    story : Story
    samples, run, comparison
        As in the workbench.
    places : mapping of str to str
        ``samples``, ``run`` and ``targets``: where they lie as the notebook should name them; those that lie nowhere are not in it.
    looks : mapping of str to str
        By view, the line that it is set to.
    selected : sequence of str
        Ids.
    """

    story: Story
    samples: "SampleSet | None" = None
    run: "Run | None" = None
    comparison: "Table | None" = None
    places: Mapping[str, str] = field(default_factory=dict)
    looks: Mapping[str, str] = field(default_factory=dict)
    selected: Sequence[str] = ()


def cells_of(told: Told) -> list[Cell]:
    """The notebook so far."""
    body = [*_sky(told), *_samples(told), *_fuse(told), *_inspect(told)]
    uses = "\n".join(cell.source for cell in body if cell.kind == "code")
    first = ["import astropy.units as u"] if "u." in uses else []
    first += ["import numpy as np"] if "np." in uses else []
    imports = "\n".join([*first, *([""] if first else []), "import astrofuse_lab as af"])
    return [Cell("title", "markdown", _title(told)), Cell("imports", "code", imports), *body, *_cite(told)]


def _title(told: Told) -> str:
    samples = told.samples
    name = (samples.card.title or samples.card.name) if samples is not None else ""
    badge = "\n\n**The data are simulated** (practice sky)." if samples is not None and samples.simulated else ""
    return (
        f"# {plain(name) if name else 'An analysis'}\n\nWritten by the workbench of AstroFuse Lab as it was used{f', begun {plain(told.story.begun)}' if told.story.begun else ''}; its cells run from top to bottom. "
        f"Cells that you add or change stay as you leave them when the workbench goes on.{badge}\n\n{versions()}."
    )


def versions() -> str:
    """What it was made with."""
    said = []
    for name in PACKAGES:
        try:
            said.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"Made with Python {platform.python_version()}, {', '.join(said)}"


# ---- the steps -----------------------------------------------------------------------------------------------------


def _sky(told: Told) -> list[Cell]:
    now = told.story.fetched
    if told.samples is None:
        return [Cell("sky", "markdown", "## 1 Sky\n\nNothing was fetched yet.")]
    if not now:
        return []
    settings = fetch_code.Settings.checked({**now, **({"file": told.places["targets"]} if "targets" in told.places else {})})
    targets, fetch, align = fetch_code.lines_of(settings)
    known = table(("survey", "found", "empty", "failed", "pending"), told.story.counts) if told.story.counts else ""
    if not targets:
        there = told.places.get("targets")
        targets = f"targets = af.Targets.from_file({there!r})" if there else "# the targets were made in code: make them here, as targets"
    return [
        Cell("sky", "markdown", "## 1 Sky\n\nTargets, and what the surveys have of them. What an archive sent is kept: run again, nothing is fetched twice."),
        Cell("targets", "code", f"{targets}\ntargets"), Cell("fetch", "code", f"{fetch}\nfound"),
        *([Cell("fetched", "markdown", f"In the workbench:\n\n{known}")] if known else []),
        Cell("align", "code", f"{align}\nsamples"),
    ]  # fmt: skip


def _samples(told: Told) -> list[Cell]:
    samples = told.samples
    if samples is None:
        return []
    kinds = table(("modality", "kind", "samples that have it"), [(name, spec.kind, f"{int(samples.present(name).sum())} of {len(samples)}") for name, spec in samples.modalities.items()])
    cells = [Cell("samples", "markdown", f"## 2 Samples\n\n{len(samples)} samples. What is missing is masked, never filled in.\n\n{kinds}")]
    if not told.story.fetched:
        cells += [Cell("open-samples", "code", f"{opened('samples', 'SampleSet', told.places.get('samples', ''))}\nsamples")]
    else:
        cells += _said(samples)
    return [*cells, Cell("coverage", "code", "af.plot.coverage(samples)")]


def _said(samples: "SampleSet") -> list[Cell]:
    """Labels and notes that a person wrote: samples that are fetched again do not bring them."""
    lines: list[str] = []
    if not len(samples.annotations):
        return []
    for object_id, label, note, _ in samples.annotations.table(samples.object_ids.tolist()):
        options = [f"label={str(label)!r}"] * bool(label) + [f"note={str(note)!r}"] * bool(note)
        lines.append(f"samples.annotate({str(object_id)!r}, {', '.join(options)})")
    return [Cell("annotations", "code", "\n".join(lines))] if lines else []


def opened(name: str, kind: str, where: str) -> str:
    """The line that opens a folder."""
    return f"{name} = af.{kind}.open({where!r})" if where else f"# {name}: made in code; keep the session, and this line opens what it holds"


def _fuse(told: Told) -> list[Cell]:
    if told.samples is None or (told.run is None and not told.story.trainings):
        return []
    cells = [Cell("fuse", "markdown", "## 3 Fuse\n\nOne network learns from all modalities at once; what is tested was not learned from.")]
    every = [name for name in told.samples.modalities if told.samples.present(name).any()]
    done = told.story.trainings
    if any(one["split"] for one in done):
        cells.append(Cell("split", "code", f"split = samples.split(test={SPLIT['test']}, seed={SPLIT['seed']})\nsplit"))
    for number, one in enumerate(done, start=1):
        last = number == len(done)
        stopped = one["state"] == "stopped"
        name = "run" if last else f"run_{number}"
        line = train_parts.line_of(one["settings"], one["settings"]["modalities"] == every, name=name, split=one["split"])
        if stopped and last and "run" in told.places:
            line = opened("run", "Run", told.places["run"])
        cells += [Cell(f"train-{number}", "code", f"{line}\n{name}.metrics"), Cell(f"trained-{number}", "markdown", _trained(one, stopped))]
    if not done:
        cells.append(Cell("open-run", "code", f"{opened('run', 'Run', told.places.get('run', ''))}\nrun.metrics"))
    return cells if told.run is None else [*cells, Cell("curve", "code", "af.plot.learning_curve(run)")]


def _trained(one: Mapping[str, Any], stopped: bool) -> str:
    rows = [(r["part"], r["metric"].replace("_", " "), _number(r["value"]), f"{_number(r['low'])} to {_number(r['high'])}", r["n"]) for r in one["metrics"]]
    note = f"This training was stopped in epoch {one['epochs']}: what it had learned by then is in the session's folder.\n\n" if stopped else ""
    return f"{note}In the workbench, after {one['epochs']} epochs, with 95 % intervals:\n\n{table(('part', 'metric', 'value', 'interval', 'samples'), rows)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _inspect(told: Told) -> list[Cell]:
    if told.run is None or told.samples is None:
        return []
    cells = [Cell("inspect", "markdown", "## 4 Inspect\n\nWas it worth it, and what did it look at?")]
    if told.story.compared:
        now = told.story.compared
        epochs = f", epochs={now['epochs']}" if now["epochs"] else ""
        line = f"comparison = af.compare(run.recipe, samples, run.target, list(run.modalities), split=run.split, seeds=[run.seed], fused=run{epochs})"
        cells += [Cell("compare", "code", f"{line}\nprint(comparison.meta['verdict'])\ncomparison"), Cell("compared", "markdown", f"In the workbench: {plain(now['verdict'])}"), Cell("comparison", "code", "af.plot.comparison(comparison)")]
    for name, title in TITLES.items():
        line = "\n".join(line for line in told.looks.get(name, "").splitlines() if not line.startswith("selected = "))
        if line:
            cells += [Cell(f"about-{name}", "markdown", f"### {title}"), Cell(name, "code", line)]
    if 0 < len(told.selected) <= MOST_IDS:
        ids = ",\n    ".join(map(repr, map(str, told.selected)))
        cells += [Cell("about-selected", "markdown", f"### Selected\n\n{len(told.selected)} samples that were selected last."), Cell("selected", "code", f"selected = samples.select([\n    {ids},\n])\nselected")]
    return cells


def _cite(told: Told) -> list[Cell]:
    if told.samples is None:
        return []
    from astrofuse_lab.widgets.export import citations_of

    lines = [f"- {plain(line)}" for line in citations_of(told.samples)]
    if told.run is not None and told.run.recipe.source.title:
        source = told.run.recipe.source
        lines.append(f"- recipe {plain(told.run.recipe.name)}, {plain(told.run.recipe.fidelity)}: {plain(', '.join(str(getattr(source, f.name)) for f in fields(source) if getattr(source, f.name)))}")
    lines.append("- AstroFuse Lab: see its CITATION.cff")
    origin = [
        (name, one.survey, one.release, one.retrieved, one.licence, "simulated" if one.simulated else "")
        for name, spec in told.samples.modalities.items() for one in [spec.provenance] if one is not None
    ]  # fmt: skip
    where = f"\n\n### Provenance\n\n{table(('modality', 'survey', 'release', 'retrieved', 'licence', ''), origin)}" if origin else ""
    return [Cell("cite", "markdown", "## Cite\n\n" + "\n".join(lines) + where)]


def relative(path: Path | None, base: Path | None) -> str:
    """A folder as a notebook in `base` names it: from there where it lies below, else in full."""
    if path is None:
        return ""
    try:
        return str(path.resolve().relative_to(base.resolve())) if base is not None else str(path.resolve())
    except ValueError:
        return str(path.resolve())
