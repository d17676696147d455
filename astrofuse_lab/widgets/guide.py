"""What each step of the workbench has, and what to do next: one sentence and one button."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astrofuse_lab.training.run import Run

ENOUGH = 8
"""Samples below which none are kept back for a test."""


def row(text: str, label: str = "", go: int = -1, verb: str = "") -> dict[str, Any]:
    """What the head shows of one step: words, and a button that goes to another step or runs a verb of the head."""
    return {"text": text, "label": label, "go": go, "verb": verb}


def sky(fetch: Any, samples: Any) -> dict[str, Any]:
    """Of step 1; `fetch` is its view."""
    if fetch.busy:
        return row("Under way. What arrives first is shown below; the other steps can be used meanwhile.")
    if fetch.samples is not None:
        return row(f"{_samples(samples)} are aligned.", "Look at the samples", 1)
    if fetch.found is not None:
        return row("What was found is listed below. Align it: common pixels, wavelengths and clock.", "Align", verb="align")
    if samples is not None and len(samples):
        return row(f"{_samples(samples)} are there already. Fetch only to begin again with other targets.", "Look at the samples", 1)
    return row("Choose targets and surveys, then fetch. The practice sky is simulated and needs no network.", "Fetch", verb="fetch")


def samples_step(samples: Any) -> dict[str, Any]:
    """Of step 2."""
    kinds = ", ".join(name.replace("_", " ") for name in samples.modalities)
    return row(f"{_samples(samples)} with {kinds}. Look at some before you train; label or note what is odd.", "Train on them", 2)


def fuse(train: Any, run: "Run | None", tested: int) -> dict[str, Any]:
    """Of step 3; `tested`: how many samples are kept back for the test."""
    if train.busy:
        return row("Training. Stop ends after the batch at hand; the other steps can be used meanwhile.")
    if run is None:
        kept = f"{tested} of them are kept back, to test what was learned." if tested else "They are too few to keep some back for a test."
        return row(f"{len(train.samples)} samples. {kept} Choose a recipe, and train.", "Train", verb="train")
    if run.state == "stopped":
        return row(f"Stopped in epoch {len(run.history)}. Resume goes on from there.", "Look inside", 3)
    return row(f"{figure(run)}.", "Look inside", 3)


def inspect(run: "Run", verdict: str, busy: bool) -> dict[str, Any]:
    """Of step 4."""
    if busy:
        return row("Training each modality alone, and trees, on the same samples.")
    if verdict:
        return row(f"{verdict}{'' if verdict.endswith('.') else '.'}")
    if run.state == "finished" and run.split.test:
        return row(f"{figure(run)}. Is that better than the best single modality?", "Compare", verb="compare")
    return row(f"{figure(run)}. Draw around points on the map: every view follows.")


def figure(run: "Run") -> str:
    """What a run scored first, with its company."""
    name = run.recipe.name.replace("_", " ")
    for part in ("test", "validation"):
        for one in run.metrics:
            if one["part"] == part:
                interval = f" ({one['low']:.2g} to {one['high']:.2g})" if one["low"] == one["low"] else ""
                chance = f", chance {1 / len(run.classes):.2g}" if len(run.classes) and one["metric"] == "balanced_accuracy" else ""
                return f"{name}: {str(one['metric']).replace('_', ' ')} {one['value']:.2g}{interval} on {one['n']} {part} samples{chance}"
    return f"{name}, trained"


def _samples(samples: Any) -> str:
    return f"{len(samples)} sample{'' if len(samples) == 1 else 's'}"
