"""Right and wrong answers to the exercises of the course, held against each notebook in its own kernel.

The last cell of each notebook tells nbmake to call `hold`, so that a notebook is run once: in ``metadata.nbmake.post_cell_execute``, which students do not see.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from astrofuse_lab.lessons.plan import Question, Task

Names = Mapping[str, Any]
"""What a notebook has defined."""


def answer(task: str, right: Callable[[Names], Any], *wrong: Any) -> tuple[str, Callable[[Names], Any], tuple[Any, ...]]:
    """One row; a wrong answer that is a function of the notebook's names is called with them."""
    return task, right, wrong


def _ids(g: Names, *wanted: str, missing: tuple[str, ...] = ()) -> list[str]:
    samples = g["samples"]
    inside = np.logical_and.reduce([samples.present(m) for m in wanted] + [~samples.present(m) for m in missing])
    return [str(one) for one in samples.object_ids[inside]]


def _missed(g: Names, most: bool) -> str:
    truth, said = np.asarray(g["tested"].column("label")).astype(str), np.asarray(g["run"].predict(g["tested"])["prediction"]).astype(str)
    wrong = {name: int((said[truth == name] != name).sum()) for name in sorted(set(truth))}
    return _most(wrong) if most else _least(wrong)


def _most(count: Mapping[str, float]) -> str:
    return max(count, key=lambda name: count[name])


def _least(count: Mapping[str, float]) -> str:
    """A name that is certainly not among those with the largest count, which all may be."""
    name = min(count, key=lambda name: count[name])
    return name if count[name] < max(count.values()) else "comet"


def _train(g: Names, recipe: Any, target: str, modalities: Any, **options: Any) -> Any:
    return g["af"].train(recipe, g["samples"], target, modalities, g["split"], epochs=1, progress=False, **options)


def _by_worth(g: Names, best: bool) -> str:
    mean = g["worth"].shapley.mean(0)
    return str(g["worth"].modalities[int(mean.argmax() if best else mean.argmin())])


def _curve_class(g: Names, loves: bool) -> str:
    column = {name: i for i, name in enumerate(g["worth"].modalities)}
    lead = {name: float((g["worth"].shapley[g["labels"] == name].mean(0))[[column["light_curve"], column["spectrum"]]] @ [1, -1]) for name in sorted(set(g["labels"]))}
    return _most(lead) if loves else _least(lead)


def _balanced(g: Names) -> float:
    return float(0.5 * (g["first_time"][g["is_moving"]].mean() + (~g["first_time"][~g["is_moving"]]).mean()))


def _better(g: Names) -> list[str]:
    rows = {str(row["model"]): row for row in g["table"]}
    best = max((rows[name] for name in g["modalities"]), key=lambda row: row["value"])
    return [name for name, row in rows.items() if name.startswith("fused") and row["low"] > best["high"]]


def _counts(g: Names) -> dict[str, int]:
    found = [g["truth"][str(i)] for i in g["asked"]["margin"]["object_id"]]
    return {name: found.count(name) for name in g["classes"]}


def _wrong_labels(g: Names) -> int:
    return list(g["truth"].values()).count(g["classes"][0])


def _third(g: Names, which: str) -> dict[str, Any]:
    changed = {name: [one.copy() for one in lists] for name, lists in g["streak_scores"].items()}
    changed[which][2][2] = 0.6
    return changed


def _plain_mean(values: Any, mask: Any) -> Any:
    return values.mean(1)


def _masked_mean(values: Any, mask: Any) -> Any:
    return np.where(mask[..., None], values, 0).sum(1) / np.maximum(mask.sum(1), 1)[:, None]


def _zeros_counted(values: Any, mask: Any) -> Any:
    return np.where(mask[..., None], values, 0).mean(1)


def _pairs(g: Names) -> Any:
    return g["af"].match(g["stars"], g["stars"], radius=2 * g["u"].arcsec, how="all", rates=False)


ANSWERS = {
    "first-fusion": [
        answer("gaps", lambda g: int((~g["samples"].present("spectrum")).sum()), lambda g: int(g["samples"].present("spectrum").sum()), 0, "many"),
        answer("complete", lambda g: _ids(g, *g["samples"].modalities), lambda g: _ids(g, "image", "spectrum"), lambda g: list(g["samples"].object_ids), []),
        answer("missed", lambda g: _missed(g, True), lambda g: _missed(g, False), "comet"),
        answer("worth", lambda g: _by_worth(g, True), lambda g: _by_worth(g, False), "sound"),
    ],
    "asteroid-or-not": [
        answer("giveaway", lambda g: "c_ssdistnr" if g["real"] else "redshift", "c_fwhm", 3),
        answer("share", lambda g: float(g["is_moving"].mean()), lambda g: 1 - float(g["is_moving"].mean()), 0.5, 20),
        answer("rule", _balanced, lambda g: float(g["first_time"][g["is_moving"]].mean()), 0.5, "good"),
    ],
    "targets-to-samples": [
        answer("lost", lambda g: 6, 5, 4, "400 95"),
        answer("motion", lambda g: float(np.hypot(900, 250) / 1000 * 25), 6.25, 22.5, "far"),
        answer("empty", lambda g: int((g["found"].status["state"] == "empty").sum()), lambda g: int((g["found"].status["state"] == "found").sum()), 0),
        answer("whole", lambda g: _ids(g, "spectrum", missing=("light_curve",)), lambda g: _ids(g, "spectrum", "light_curve"), lambda g: _ids(g, "light_curve", missing=("spectrum",))),
        answer("twice", lambda g: int((_pairs(g)["left_row"] < _pairs(g)["right_row"]).sum()), lambda g: len(_pairs(g)), lambda g: 2 * (len(_pairs(g)) - len(g["stars"])), 0),
    ],
    "fusion-levels": [
        answer("apart", _better, lambda g: [*_better(g), "chance"], lambda g: "trees", "none such"),
        answer("operator", lambda g: _train(g, g["recipe"].change(fusion="max"), "label", g["modalities"]), lambda g: g["run"], lambda g: _train(g, g["recipe"].change(fusion="max", width=32), "label", g["modalities"]), 3),
        answer("planets", lambda g: str(g["planets"]["model"][g["planets"]["value"].argmax()]), "chance", "none such"),
    ],
    "few-labels": [
        answer("rarest", lambda g: min(set(g["label"]), key=list(g["label"]).count), lambda g: max(set(g["label"]), key=list(g["label"]).count), "comet"),
        answer("labels", lambda g: round(0.06 * len(g["split"].train)), lambda g: len(g["split"].train), 6, "few"),
        answer(
            "gentle", lambda g: _train(g, g["recipe"].change(schedule=g["af"].Part.of("probe", steps=2)), "label", g["modalities"], labels=0.06, start=g["pretrained"]),
            lambda g: g["gentle"]["lora"], lambda g: g["pretrained"], lambda g: g["result"],
        ),
    ],
    "look-inside": [
        answer("sum", lambda g: float(g["worth"].shapley[0].sum()), lambda g: float(g["worth"].shapley[0].max()) + 1, "much"),
        answer("lovers", lambda g: _curve_class(g, True), lambda g: _curve_class(g, False), "comet"),
        answer("strange", lambda g: str(g["strange"]["object_id"][0]), lambda g: str(g["strange"]["object_id"][1]), 0),
    ],
    "label-learn": [
        answer("hot", _wrong_labels, lambda g: len(g["truth"]), 0, "some"),
        answer("agree", lambda g: (11 / 12) ** 2 + (1 / 12) ** 2 / (len(g["classes"]) - 1), 11 / 12, 10 / 12, "often"),
        answer("asked", lambda g: _most(_counts(g)), lambda g: _least(_counts(g)), "comet"),
    ],
    "toolbox": [
        answer("streaks", lambda g: _third(g, "sl"), lambda g: _third(g, "kd"), lambda g: g["streak_scores"], 3),
        answer("processors", lambda g: 209_991_147 * g["busy"] / len(g["made"]) / (7 * 86_400), lambda g: 209_991_147 * g["busy"] / len(g["made"]) / 3600, "many"),
        answer("vote", lambda g: [0.06, 0.05, 0.0], [0.04, 0.04, 0.0], [0.5, 0.5, 0.5], 3),
        answer("always", lambda g: 270 / 535, 50.5, 0.495, "half"),
        answer("error", lambda g: 100 * (0.606 * 0.394 / 1500) ** 0.5, 0.0126, 3.9, "small"),
    ],
    "your-own": [
        answer("flux", lambda g: (229.1, 21.1), (18.0, 0.1), (229.1, 0.1), (363.1, 33.4), 229.1),
        answer("mean", lambda g: _masked_mean, lambda g: _plain_mean, lambda g: _zeros_counted, 3),
        answer(
            "recipe", lambda g: _train(g, g["recipe"].change(fusion="gated"), "type", None), lambda g: g["run"], lambda g: g["other"], lambda g: g["table"],
        ),
    ],
}  # fmt: skip


def hold(lesson: Any, names: Names) -> None:
    """AssertionError where a check of this lesson passes a wrong answer, fails a right one, or has none here."""
    tasks = [one.name for one in lesson.plan.items.values() if isinstance(one, Task)]
    rows = {task: (right, wrong) for task, right, wrong in ANSWERS[lesson.plan.name]}
    assert set(rows) == set(tasks), f"{lesson.plan.name}: tasks {sorted(tasks)}, answers {sorted(rows)}"
    assert any(isinstance(one, Question) for one in lesson.plan.items.values()), f"{lesson.plan.name} asks for no prediction"
    for name, (right, wrong) in rows.items():
        given = right(names)
        said = lesson.judged(name, given)
        assert said.ok, f"{lesson.plan.name}, {name}: the right answer {str(given)[:80]} is told {said.words!r}"
        for one in wrong:
            bad = one(names) if callable(one) and getattr(one, "__name__", "") == "<lambda>" else one
            said = lesson.judged(name, bad)
            assert not said.ok, f"{lesson.plan.name}, {name}: the wrong answer {str(bad)[:80]} passes"
            assert said.words, f"{lesson.plan.name}, {name}: nothing is said to {str(bad)[:80]}"
        assert lesson.check(name, ...).ok is None
