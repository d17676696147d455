"""Train while watching: loss and metric draw themselves, Stop ends within a batch, Resume goes on."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets as t

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets import train_parts
from astrofuse_lab.widgets.base import Base, Selection
from astrofuse_lab.widgets.wire import plain

if TYPE_CHECKING:
    from astrofuse_lab.recipes.schema import Recipe
    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.samples.split import Split
    from astrofuse_lab.training.run import Run

STATES = ("idle", "running", "stopped", "finished", "failed")


def recipes_for(samples: "SampleSet", own: "Recipe | None" = None) -> "dict[str, Recipe]":
    """Recipes that a set may be trained with: the general ones, those of publications whose data these are, and the one named."""
    from astrofuse_lab.recipes.catalogue import RECIPES

    fitting = {name: one for name, one in RECIPES.items() if one.fidelity == "own" or samples.card.name in one.data}
    return {**fitting, **({own.name: own} if own else {})}


def _recipe_rows(recipes: "dict[str, Recipe]") -> list[dict[str, str]]:
    return [{"name": r.name, "title": r.title, "fidelity": r.fidelity, "source": r.source.title} for r in recipes.values()]


def _targets(samples: "SampleSet") -> list[str]:
    """Columns that may be predicted: those with role target, else all that are neither input nor id."""
    roles = samples.roles
    named = [name for name, role in roles.items() if role == "target"]
    return named or [name for name, role in roles.items() if role == "other" and name not in ("ra", "dec")]


class TrainWidget(Base):
    """Choose a recipe, its parts, a target and modalities; train, stop, resume; see runs beside each other.

    Parameters
    ----------
    samples : SampleSet
    recipe : str or Recipe, optional
        Chosen at the start; None: the first of ``af.list_recipes()``.
    target : str, optional
    split : Split, optional
        As in ``af.train``.
    out : path, optional
        Run folder; a training that was stopped or killed there is resumed, also by a later kernel.
    selection : Selection, optional

    Attributes
    ----------
    run : Run or None
        The latest run, finished or stopped.
    parts : dict
        Parts picked in place of the recipe's: ``{"fusion": {"name": "gated", "options": {}}, "encoders": {"image": {...}}}``.
    runs : list of dict
        Each run of this widget: what it was, its curves and its figures, the latest last.
    gauges : dict
        Device, and bytes of its memory in use and in all, as of the last epoch.
    """

    view = "train"
    verbs = {"train": "train", "resume": "resume"}
    recipes: Any = t.List().tag(sync=True)
    recipe = t.Unicode("").tag(sync=True)
    targets: Any = t.List().tag(sync=True)
    target = t.Unicode("").tag(sync=True)
    available: Any = t.List().tag(sync=True)
    modalities: Any = t.List().tag(sync=True)
    parts: Any = t.Dict().tag(sync=True)
    catalogue: Any = t.List().tag(sync=True)
    own: Any = t.Dict().tag(sync=True)
    runs: Any = t.List().tag(sync=True)
    gauges: Any = t.Dict().tag(sync=True)
    epochs = t.Int(0, min=0, max=100_000).tag(sync=True)
    seed = t.Int(0, min=0).tag(sync=True)
    state = t.Enum(STATES, "idle").tag(sync=True)
    history: Any = t.List().tag(sync=True)
    metrics: Any = t.List().tag(sync=True)
    metric = t.Unicode("").tag(sync=True)
    summary = t.Unicode("").tag(sync=True)
    title = t.Unicode("").tag(sync=True)

    def __init__(
        self, samples: "SampleSet", recipe: "str | Recipe | None" = None, target: str | None = None, split: "Split | None" = None,
        out: str | Path | None = None, selection: Selection | None = None, **traits: Any,
    ) -> None:  # fmt: skip
        from astrofuse_lab.recipes.catalogue import get_recipe

        own = None if recipe is None else get_recipe(recipe)
        self.samples, self.split, self.out = samples, split, out
        self._recipes = recipes_for(samples, own)
        self.run: Run | None = None
        self._asked: dict[str, Any] | None = None
        goals = _targets(samples)
        if target is not None and target not in samples.roles:
            raise InputError(f"there is no column {target!r} to predict; there are {', '.join(goals)}.")
        kinds = [{"name": name, "kind": spec.kind, "count": int(samples.present(name).sum())} for name, spec in samples.modalities.items()]
        given = {
            "recipes": _recipe_rows(self._recipes), "recipe": (own or next(iter(self._recipes.values()))).name, "targets": goals if target in goals or target is None else [target, *goals],
            "target": target or (goals[0] if goals else ""), "available": kinds, "modalities": [k["name"] for k in kinds if k["count"]],
            "catalogue": train_parts.catalogue(), "title": f"{len(samples)} samples, {samples.card.title or samples.card.name}", "simulated": samples.simulated,
        }  # fmt: skip
        super().__init__(samples.object_ids, selection, **{**given, **traits})
        self.observe(self._recipe_chosen, "recipe")
        self.observe(self._write_code, ["recipe", "target", "modalities", "epochs", "seed", "parts"])
        self._show_own()
        self._write_code()

    # ---- settings ------------------------------------------------------------------------------------------------

    def _recipe_chosen(self, _change: Any) -> None:
        """Another recipe has its own parts."""
        self._update(parts={})
        self._show_own()

    def _show_own(self) -> None:
        """The parts of the recipe itself, by role, for the pickers."""
        recipe = self._recipes.get(self.recipe)
        if recipe is None:
            return
        encoders = {one["name"]: train_parts.told(recipe.encoder_for(one["name"], one["kind"])) for one in self.available if {one["name"], one["kind"]} & set(recipe.encoders)}
        roles = {role: train_parts.told(getattr(recipe, role)) for role in train_parts.ROLES}
        self._update(own={"encoders": encoders, **roles})

    def answer(self, key: str) -> dict[str, Any]:
        """``model``, and whatever follows it: the model as it is chosen now, drawn and counted."""
        if not key.startswith("model"):
            return super().answer(key)
        return train_parts.drawn(self._chosen(), self.samples, self.target, list(self.modalities))

    def _chosen(self) -> "Recipe":
        """The recipe with the parts picked."""
        from astrofuse_lab.recipes.catalogue import get_recipe

        return train_parts.changed(self._recipes.get(self.recipe) or get_recipe(self.recipe), self.parts)

    def _settings(self) -> dict[str, Any]:
        """The arguments of ``af.train`` that the view shows."""
        return {"recipe": self.recipe, "parts": dict(self.parts), "target": self.target, "modalities": list(self.modalities), "seed": self.seed, "epochs": self.epochs or None}

    def _write_code(self, _change: Any = None) -> None:
        now = self._settings()
        every = now["modalities"] == [k["name"] for k in self.available if k["count"]]
        try:
            self._chosen()
        except InputError:
            return self._update(code="")  # no line of code does what cannot be; the place of the model says why
        return self._update(code=train_parts.line_of(now, every, split=self.split is not None, out=str(self.out) if self.out is not None else ""))

    # ---- verbs ---------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Train from the start with what is shown; blocks (the view's button runs it on the worker thread)."""
        if not self.target:
            raise InputError("these samples have no column to predict. Give one of their columns the role 'target'.")
        if not self.modalities:
            raise InputError("no modality is chosen. Tick at least one.")
        self._update(history=[], metrics=[], metric="", summary="")
        self.run, self._asked = None, self._settings()
        self._go(resume=True)

    def resume(self) -> None:
        """Go on with the stopped training, with the settings it was begun with."""
        if self.run is None or self.run.state != "stopped" or self._asked is None:
            raise InputError("there is no stopped training to resume. Press Train.")
        self._update(**{k: v for k, v in self._asked.items() if k != "epochs"}, epochs=self._asked["epochs"] or 0)
        self._go(resume=True if self.out is not None else self.run)

    def go_on_with(self, run: "Run", settings: dict[str, Any], runs: list[dict[str, Any]]) -> None:
        """Show a run that was trained before, by a kernel that is gone; a stopped one can be resumed.

        Parameters
        ----------
        run : Run
        settings : dict
            What it was trained with.
        runs : list of dict
            Those that stood beside each other then.
        """
        self.run, self._asked = run, dict(settings)
        self._show_run(run)
        self._update(runs=runs or self.runs)

    def _go(self, resume: "bool | Run") -> None:
        from astrofuse_lab.training.loop import train

        assert self._asked is not None
        asked = {name: value for name, value in self._asked.items() if name != "parts"}
        asked["recipe"] = self._chosen()
        self._update(state="running", status="Reading samples and making the model")
        ticking = threading.Event()
        clock = threading.Thread(target=self._clock, args=(ticking, time.monotonic()), daemon=True)
        clock.start()
        try:
            self.run = train(samples=self.samples, split=self.split, out=self.out, progress=False, stop=self._halt, on_epoch=self._epoch, resume=resume, **asked)
        except BaseException:
            self._update(state="failed")
            raise
        finally:
            ticking.set()
            clock.join()
        self._show_run(self.run)

    def _clock(self, ended: threading.Event, start: float) -> None:
        """Tell how long it has taken, so that a long first epoch is not silent."""
        while not ended.wait(1.0):
            done = self.history[-1] if self.history else None
            where = f"epoch {done['epoch']} of at most {done['epochs']}" if done else "first epoch"
            self._update(status=f"{'Stopping after this batch' if self._halt.is_set() else 'Training'}: {where}, {time.monotonic() - start:.0f} s")

    def _epoch(self, now: dict[str, Any]) -> None:
        row = {name: plain(value) for name, value in now.items()}
        earlier = [r for r in self.history if r["epoch"] < row["epoch"]]
        gauges = {name: now[name] for name in ("device", "memory", "memory_total") if name in now}
        self._update(history=[*earlier, row], gauges=gauges, progress=row["epoch"] / max(row["epochs"], 1))

    def _show_run(self, run: "Run") -> None:
        chance = 1 / len(run.classes) if run.classes else None
        rows = []
        for r in run.metrics:
            row = {name: plain(r[name]) if name in ("value", "low", "high") else str(r[name]) for name in ("part", "metric", "value", "low", "high")}
            rows.append({**row, "n": int(r["n"]), "chance": chance if r["metric"] in ("balanced_accuracy",) else None})
        history = [{name: plain(r[name]) for name in r.colnames} | {"epochs": self.history[-1]["epochs"] if self.history else len(run.history)} for r in run.history]
        words = f"{run.parameters:,} parameters, {len(run.history)} epochs, {run.seconds:.0f} s"
        status = "Stopped; Resume goes on from here" if run.state == "stopped" else ""
        self._keep_run(run, history, rows)
        self._update(history=history, metrics=rows, metric=str(run.history.meta["metric"]), summary=words, state=run.state, status=status, progress=1.0 if run.state == "finished" else self.progress)

    def _keep_run(self, run: "Run", history: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
        """Put a run beside the others; one that was resumed takes the place of what it was."""
        assert self._asked is not None
        label = run.recipe.decision.name if run.recipe.decision else run.recipe.fusion.name
        best = next((r for side in ("test", "validation") for r in rows if r["part"] == side), {"part": "", "metric": "", "value": None, "low": None, "high": None})
        told = {
            "settings": self._asked, "recipe": run.recipe.name, "fusion": label, "modalities": list(run.modalities), "seed": run.seed, "state": run.state,
            "parameters": run.parameters, "seconds": run.seconds, "epochs": len(history), "metric": str(run.history.meta["metric"]),
            "curve": [{name: row[name] for name in ("epoch", "train_loss", "validation_loss", "metric")} for row in history],
            "figure": {name: best[name] for name in ("part", "metric", "value", "low", "high")},
        }  # fmt: skip
        earlier = [one for one in self.runs if not (one["state"] == "stopped" and one["settings"] == told["settings"])]
        self._update(runs=[*({**one, "number": i + 1} for i, one in enumerate([*earlier, told]))])

    def __repr__(self) -> str:
        return f"TrainWidget({len(self._ids)} samples, {self.recipe}, {self.state})"
