"""The main job from end to end without a browser: what `make demo` and ``astrofuse demo`` run."""

import time
from pathlib import Path

MODALITIES = ("image", "spectrum", "light_curve", "table", "text")


def demo(folder: str | Path = "out/demo", *, n: int = 480, recipe: str = "joint_attention", seeds: int = 1, say: object = print) -> dict[str, Path]:
    """Patch of sky, five modalities, fused model, comparison, explorer: once through.

    Parameters
    ----------
    folder : path
        Where the run and the explorer are written; an earlier demo there is replaced.
    n : int
        Objects of the practice sky.
    recipe : str
        A name from ``af.list_recipes()``.
    seeds : int
        Trainings behind each row of the comparison.
    say : callable
        Takes a line of text.

    Returns
    -------
    dict
        Paths of the ``run`` folder and of the ``explorer`` (HTML).
    """
    import astrofuse_lab as af
    from astrofuse_lab.recipes.catalogue import get_recipe

    assert callable(say)
    get_recipe(recipe)  # an unknown name is refused before any work
    folder, begin = Path(folder), time.monotonic()

    def step(text: str) -> None:
        say(f"[{time.monotonic() - begin:5.0f} s] {text}")

    step(f"fetching and aligning {n} objects of the practice sky (simulated) ...")
    samples = af.load_samples("practice", n=n, progress=False)
    step(repr(samples))
    split = samples.split(test=0.25, seed=0)
    step(f"training {recipe!r} on {len(split.train)} objects ...")
    run = af.train(recipe, samples, target="label", split=split, progress=False)
    step("comparing with each modality alone, trees and chance ...")
    table = af.compare(recipe, samples, target="label", split=split, seeds=seeds, fused=run, progress=False)
    for line in table.pformat(max_width=-1, max_lines=-1):
        say("    " + line)
    say("    " + table.meta["verdict"])
    run_folder = run.save(folder / "run", overwrite=True)
    step("explaining the test objects, writing the explorer ...")
    tested = samples.select(split.test)
    explorer = Path(af.workbench(run, tested, comparison=table).save(folder / "explorer.html", stored=24))
    step("done")
    say(f"run folder:  {run_folder}")
    say(f"explorer:    {explorer.resolve()}  (open it in any browser; it needs no network and no Python)")
    return {"run": Path(run_folder), "explorer": explorer}
