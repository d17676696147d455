"""What there is to train with: recipes and parts, as tables."""

import inspect
from typing import TYPE_CHECKING, Any

from astrofuse_lab.alignment.augmentation import AUGMENTATIONS
from astrofuse_lab.alignment.representations import REPRESENTATIONS
from astrofuse_lab.models.parts import PARTS, options_of
from astrofuse_lab.models.weights import GENERIC
from astrofuse_lab.recipes.catalogue import RECIPES, SYSTEMS
from astrofuse_lab.training.objectives import OBJECTIVES, WEIGHED
from astrofuse_lab.training.schedules import SCHEDULES
from astrofuse_lab.training.self_supervised import SELF_SUPERVISED
from astrofuse_lab.training.self_supervised import options_of as self_supervised_options
from astrofuse_lab.training.system_tables import measured_text, reported_text

if TYPE_CHECKING:
    from astropy.table import Table


def list_recipes() -> "Table":
    """One row a recipe: name, title, fusion, encoders, fidelity, source."""
    from astropy.table import Table

    rows = [
        {
            "name": r.name, "title": r.title, "fusion": r.decision.name if r.decision else r.fusion.name, "level": "decision" if r.decision else "feature",
            "encoders": ", ".join(f"{kind}: {part.name}" for kind, part in r.encoders.items()), "fidelity": r.fidelity,
            "source": " ".join(str(v) for v in (r.source.title, r.source.year or "", r.source.identifier) if v),
        }
        for r in RECIPES.values()
    ]  # fmt: skip
    return Table(rows=rows)


def list_systems() -> "Table":
    """One row a published system: key, title, status, inputs, fidelity, data, recipes, original, parameters, reported, measured, date, machine, departures, source.

    `measured` holds the first numbers that ``benchmarks/systems.py`` found on the machine and date beside it, with 95 % intervals; all of them are in
    ``docs/systems.md`` and, one system at a time, ``astrofuse systems KEY``.
    """
    from astropy.table import Table

    rows = []
    for one in SYSTEMS.values():
        measured = one.measured
        rows.append({
            "key": one.key, "title": one.title, "status": _status(measured), "inputs": one.inputs, "fidelity": one.fidelity, "data": ", ".join(one.data), "recipes": ", ".join(one.recipes),
            "original": one.original, "parameters": "; ".join(f"{name} {count:,}" for name, count in one.parameters.items()), "reported": reported_text(one, len(one.reported)), "measured": measured_text(one), "date": measured.get("date", ""), "machine": measured.get("machine", ""),
            "departures": " ".join(one.departures), "source": " ".join(str(v) for v in (one.source.title, one.source.year or "", one.source.identifier) if v),
        })  # fmt: skip
    names = ("key", "title", "status", "inputs", "fidelity", "data", "recipes", "original", "parameters", "reported", "measured", "date", "machine", "departures", "source")
    return Table(rows=rows, names=names) if rows else Table(names=names)


def _status(measured: dict[str, Any]) -> str:
    """What was measured: at full counts, at quick ones, or nothing; and how many numbers are below their references."""
    if not measured:
        return "not measured"
    below = sum(bool(one.get("below")) for one in measured["numbers"])
    return ("quick" if measured.get("quick") else "full") + f", {len(measured['numbers'])} numbers" + (f", {below} below" if below else "")


def list_parts() -> "Table":
    """One row a part that recipes may name: role, name, what it is, and its options with their defaults."""
    from astropy.table import Table

    rows = [_row(role, name, part, {**options_of(part), **(GENERIC if role == "encoder" else {})}) for role, table in PARTS.items() for name, part in table.items()]
    for name, kind in OBJECTIVES.items():
        options = {p.name: p.default for p in inspect.signature(kind.make).parameters.values()}
        row = _row("objective", name, kind.make, {**options, **({"class_weights": "balanced"} if set(kind.tasks) & set(WEIGHED) else {})})
        heads = f", of the head {' or '.join(kind.heads)}" if kind.heads else ""
        rows.append({**row, "what": f"{row['what']} For {' and '.join(kind.tasks)}{heads}."})
    rows += [_row("self-supervised objective", name, made, self_supervised_options(made)) for name, made in SELF_SUPERVISED.items()]
    for name, schedule in SCHEDULES.items():
        rows.append(_row("schedule", name, type(schedule), vars(schedule)))
    rows += [{**_row("augmentation", name, one.run, dict(one.options)), "what": one.says} for name, one in AUGMENTATIONS.items()]
    for name, shown in REPRESENTATIONS.items():
        rows.append({**_row("representation", name, shown.run, dict(shown.options)), "what": f"{' or '.join(shown.reads)} as {shown.gives}: {shown.source}"})
    return Table(rows=rows)


def _row(role: str, name: str, thing: object, options: dict[str, object]) -> dict[str, str]:
    what = (inspect.getdoc(thing) or "").split("\n")[0]
    return {"role": role, "name": name, "what": what, "options": ", ".join(f"{k}={v!r}" for k, v in options.items())}
