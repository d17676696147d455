"""``card.md`` of a run folder: what the model is, for those who may use it (after Mitchell et al. 2019, arXiv:1810.03993, section 4).

Markdown, written beside ``run.json`` from what that holds. A person may add to it: it is for reading only, has no checksum, and
nothing is read from it. Whatever a file or an archive wrote is text in it.
"""

from typing import TYPE_CHECKING, Any

from astrofuse_lab.recipes.catalogue import SYSTEMS
from astrofuse_lab.samples.card import text

if TYPE_CHECKING:
    from astrofuse_lab.training.run import Run

MOST_CLASSES = 60


def model_card(run: "Run") -> str:
    """The card of a run, as Markdown.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
    """
    record = run.record
    head = [f"# {text(run.recipe.title or run.recipe.name)}: {_what(run)}", ""]
    if run.simulated:
        head += ["**Trained on simulated objects, which do not exist: its figures say nothing of the sky.**", ""]
    if run.state != "finished":
        head += [f"**This training is {text(run.state)}: the model is not what it would become.**", ""]
    parts = [_model(run), _published(run), _data(run), _metrics(run), _left_out(record), _cost(record), _use(run), _sources(run), _versions(record)]
    return "\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n"


def _what(run: "Run") -> str:
    goal = f"{text(run.task)} of {text(run.target)}" if run.target else text(run.task.replace("_", "-"))
    return f"{goal} from {', '.join(map(text, run.modalities))}"


def _list(title: str, rows: list[tuple[str, object]]) -> list[str]:
    return [f"## {title}", "", *(f"- **{key}**: {text(value)}" for key, value in rows), ""] if rows else []


def _table(heads: list[str], rows: list[list[object]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *(f"| {' | '.join(text(v, 240) for v in row)} |" for row in rows), ""]


def _model(run: "Run") -> list[str]:
    recipe = run.recipe
    rows: list[tuple[str, object]] = [("recipe", recipe.name), ("fusion", recipe.decision.name if recipe.decision else recipe.fusion.name)]
    rows += [("encoder of " + text(name), recipe.encoder_for(name, layout.kind).name) for name, layout in run.model.front.layouts.items()]
    rows += [("head", recipe.head.name), ("objective", recipe.objective.name), ("parameters", f"{run.parameters:,}"), ("seed", run.seed)]
    if run.classes:
        rows.append(("classes", ", ".join(map(str, run.classes[:MOST_CLASSES])) + (f" and {len(run.classes) - MOST_CLASSES} more" if len(run.classes) > MOST_CLASSES else "")))
    return _list("Model", rows)


def _published(run: "Run") -> list[str]:
    """Of a recipe that follows a publication: what that reported, and where this one differs."""
    system = next((one for one in SYSTEMS.values() if run.recipe.name in one.recipes), None)
    reported = {**(system.reported if system else {}), **run.recipe.reported}
    departures = dict.fromkeys((*(system.departures if system else ()), *run.recipe.departures))
    if not system and run.recipe.fidelity == "own":
        return []
    rows: list[tuple[str, object]] = [("system", f"{system.title} ({system.key})")] if system else []
    rows += [("weights", "the authors' own") if run.record.get("original") else ("weights", "trained here")]
    rows += [("fidelity", system.fidelity if system else run.recipe.fidelity)]
    rows += [("published " + text(name), f"{value:g}") for name, value in reported.items()]
    return [*_list("Published system", rows), *(f"- {text(one)}" for one in departures), *([""] if departures else [])]


def _data(run: "Run") -> list[str]:
    card, split = run.record["samples"]["card"], run.split
    rows: list[tuple[str, object]] = [
        ("samples", f"{card.get('title') or card['name']}, {run.record['samples']['objects']} objects"), ("licence", card.get("licence") or "not stated"),
        ("training part", f"{len(split.train)} objects"), ("validation part", f"{len(split.validation)} objects: they chose when to stop"),
        ("test part", f"{len(split.test)} objects" if split.test else "none: no figure below is of objects that decided nothing"),
        ("divided by", f"{split.by}, groups by {split.group}" if split.group else split.by),
    ]  # fmt: skip
    return [*_list("Data", rows), *(f"- {text(note)}" for note in card.get("notes", ())), *([""] if card.get("notes") else [])]


def _metrics(run: "Run") -> list[str]:
    rows = [
        [r["part"], r["metric"].replace("_", " "), _figure(r["value"]), f"{_figure(r['low'])} to {_figure(r['high'])}", r["n"]] for r in run.record["metrics"]
    ]
    return ["## How good it is", "", *_table(["part", "metric", "value", "95 % interval", "objects"], rows)] if rows else []


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _left_out(record: dict[str, Any]) -> list[str]:
    return _list("Left out", [(f"{count} objects", why) for why, count in record.get("left_out", {}).items()])


def _cost(record: dict[str, Any]) -> list[str]:
    cost = record.get("cost")
    if not cost:
        return []
    joules = "unknown" if cost["joules"] is None else f"{cost['joules'] / 3600:.3g} Wh"
    flops = "not counted" if cost["flops_per_sample"] is None else f"{cost['flops_per_sample']:.3g} operations"
    return _list(
        "Cost", [
            ("time", f"{cost['seconds']:.0f} s on {record['device']}, {record['processes']} process(es), {record['precision']}"), ("memory", f"{cost['peak_memory'] / 1e9:.2f} GB at most"),
            ("energy", f"{joules} ({cost['energy_method']})"), ("one prediction", flops),
        ],
    )  # fmt: skip


def _use(run: "Run") -> list[str]:
    missing = "any of them may be missing for an object" if len(run.modalities) > 1 else "an object without it gets no prediction"
    lines = [
        f"Meant for objects like those it was trained on, aligned alike: {', '.join(map(text, run.modalities))}; {missing}.",
        "Objects of another survey, depth, epoch or selection are outside of what was measured here: measure on some with known truth first.",
    ]
    if run.classes:
        lines.append("Every object is given one of the classes above, whatever it is; probabilities follow the shares of classes it was trained with.")
    if run.target:
        lines.append("Uncertainties are calibrated on the validation part, and hold for objects like those.")
    return ["## Use and limits", "", *(f"- {line}" for line in lines), ""]


def _sources(run: "Run") -> list[str]:
    source, card = run.recipe.source, run.record["samples"]["card"]
    named = " ".join(str(v) for v in (source.title, source.year or "", source.identifier) if v)
    told = [f"Recipe: {named} ({run.recipe.fidelity})"] if named else []
    told += [f"Samples: {card['citation']}"] if card.get("citation") else []
    told += [line for line in run.record["samples"]["citations"].split("\n") if line]
    return ["## Cite", "", *(f"- {text(line)}" for line in told), ""] if told else []


def _versions(record: dict[str, Any]) -> list[str]:
    return _list("Versions", list(record.get("versions", {}).items()))
