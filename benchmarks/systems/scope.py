"""SCoPe on Catalina's variable stars: yes-or-no questions in a hierarchy, a network or boosted trees each, on the same test rows.

Training, validation and test parts keep stars whole. What is measured of the curves is made once and kept in the cache. Learning rate, batch, scaling and
first weights were chosen on validation parts of some hundred stars for one question. Networks see one seed: intervals are over test stars, not over trainings.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from systems_parts import Number, paired

import astrofuse_lab as af
from astrofuse_lab.recipes.taxonomies import CRTS, TAXONOMIES, fractions_of
from astrofuse_lab.recipes.variable_taxonomies import CRTS_QUESTIONS, VIEWS
from astrofuse_lab.samples.nulls import ORDERED, with_shuffled
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.samples.views import measure as measure_views
from astrofuse_lab.storage import cache_root
from astrofuse_lab.training import metrics as M
from astrofuse_lab.training.dichotomies import HOLDS, answers, asking, together, train_dichotomies, with_fractions
from astrofuse_lab.training.dichotomy_scores import agreement, contradictions, judge_answers, scores_of
from astrofuse_lab.training.dichotomy_trees import importance, train_trees
from astrofuse_lab.training.metrics_classes import label_pr_auc

Said = Mapping[str, np.ndarray]
QUICK_STARS, QUICK_TRAINED, QUICK_EPOCHS = 1500, 750, 10
NULLS, QUICK_NULLS = 400, 120
FOURIER = "f1_"
QUICK_QUESTIONS = ("e", "ea", "ew", "bis", "puls", "rrlyr", "rrab", "rrc")
TREES = list(TAXONOMIES.values())
EXPLAINED = ("rrab", "ea", "puls")


def measured(samples: af.SampleSet, name: str) -> af.SampleSet:
    """Features and DMDT images of these curves, from the cache where they were made before; the number of epochs is no input, as published."""
    path = Path(cache_root()) / "benchmarks" / name
    made = af.SampleSet.open(path) if path.is_dir() else measure_views(samples, path, VIEWS)
    return without(made, "n")


def without(samples: af.SampleSet, column: str) -> af.SampleSet:
    """The set without one input."""
    return af.SampleSet(samples._columns.take(samples.rows()), {name: samples.data_of(name) for name in samples._data}, {**samples.roles, column: "other"}, samples.units, samples.card)


def parts(samples: af.SampleSet, quick: bool) -> tuple[af.SampleSet, Split]:
    """Stars and their parts; no star that learning rate, batch or first weights were chosen with is tested."""
    few = samples.take(np.sort(np.random.default_rng(0).permutation(len(samples))[:QUICK_STARS]))
    first = few.split(test=0.3, seed=0)
    chosen_with = {*first.train, *samples.object_ids[np.random.default_rng(5).permutation(len(samples))[:800]]} - {*first.test}
    samples, whole = (few, first) if quick else (samples, samples.split(test=0.3, seed=0))
    inner = samples.select(whole.train).split(test=0.15, seed=1)
    test = tuple(one for one in whole.test if one not in chosen_with)
    return samples, Split(inner.train[:QUICK_TRAINED] if quick else inner.train, test, inner.test, whole.by, whole.group, whole.seed)


def measure(quick: bool) -> Iterator[Number]:
    """All numbers."""
    samples = measured(af.load_samples("crts-variables", progress=False), "scope-crts")
    samples = with_fractions(samples, {name: fractions_of(name) for name in CRTS}, CRTS_QUESTIONS)
    samples, split = parts(samples, quick)
    questions = QUICK_QUESTIONS if quick else CRTS_QUESTIONS
    test = samples.select(split.test)
    recipe = af.get_recipe("scope")
    if quick:
        recipe = recipe.change(schedule=af.Part.of("end_to_end", **{**recipe.schedule.options, "epochs": QUICK_EPOCHS}))
    epochs = f", {QUICK_EPOCHS} epochs" if quick else ""
    data = f"crts-variables, {len(split.train)} stars trained on, {len(test)} tested{epochs}"
    family = train_dichotomies(recipe, samples, questions, split=split, device="cpu")
    trees = train_trees(samples, questions, split=split)
    said = {"network, features and DMDT": scores_of(family.predict(test), "_dnn"), "trees, features": scores_of(trees.predict(test), "_trees")}
    yield from each_question(said, test, data)
    for name, modalities in (("features", ("table",)), ("DMDT", ("dmdt",))):
        alone = train_dichotomies(recipe, samples, questions, split=split, modalities=modalities, device="cpu")
        said[f"network, {name}"] = scores_of(alone.predict(test), "_dnn")
    for name, modalities in () if quick else (("DMDT", ("dmdt",)), ("features and DMDT", ("table", "dmdt"))):  # minutes: 676 cells a star
        said[f"trees, {name}"] = scores_of(train_trees(samples, questions, split=split, modalities=modalities).predict(test), "_trees")
    said["one network for all questions"] = one_network(recipe, samples, split, questions)
    yield from ablation(said, test, questions, data)
    yield from told_apart(said, questions, data)
    explained = tuple(name for name in EXPLAINED if name in questions)
    yield from what_matters(family, trees, test, explained, data)
    yield from active(samples, split, quick)
    yield from periodic(quick)
    yield from survey_shortcut(quick)
    yield from published_scores()


def each_question(said: Mapping[str, Said], test: af.SampleSet, data: str) -> Iterator[Number]:
    """PR-AUC of each question, with precision and recall in the note; the precision that was published for RR Lyrae."""
    groups = group_codes(test)
    ours, theirs = said["network, features and DMDT"], said["trees, features"]
    judged = {name: {row["question"]: row for row in judge_answers(one, test)} for name, one in (("network", ours), ("trees", theirs))}
    for question in ours:
        row, other = judged["network"][question], judged["trees"][question]
        held, known = answers(test, question)
        metric = lambda truth, score: M.value(lambda t, s, w: label_pr_auc(t[:, None], s[:, None], w), truth, score)  # noqa: E731
        yield Number(
            f"PR-AUC, {question}, network", row["pr_auc"], row["pr_auc_low"], row["pr_auc_high"], n=row["yes"] + row["no"], data=data, reference_name="boosted trees on the features",
            reference=other["pr_auc"], difference=paired(metric, held[known], ours[question][known], theirs[question][known], groups[known], draws=300), higher_is_better=True,
            note=f"{row['yes']} yes; above 0.5 precision {row['precision']:.2f}, recall {row['recall']:.2f}; trees {other['precision']:.2f}, {other['recall']:.2f}",
        )  # fmt: skip
    if "rrlyr" in ours:
        for name, one in (("network", ours), ("trees", theirs)):
            row = judge_answers({"rrlyr": one["rrlyr"]}, test, taken=0.7)[0]
            yield Number(
                f"precision of RR Lyrae above 0.7, {name}", row["precision"], row["precision_low"], row["precision_high"], n=row["yes"] + row["no"], data=data, published=0.89,
                note=f"recall {row['recall']:.2f}; {row['yes'] / (row['yes'] + row['no']):.0%} of these stars are RR Lyrae, far more than of ZTF's sources, which lifts the precision",
            )  # fmt: skip


def matrix(one: Said, questions: tuple[str, ...]) -> np.ndarray:
    """Scores of all questions: (star, question)."""
    return np.stack([one[name] for name in questions], axis=1)


def truth_of(test: af.SampleSet, questions: tuple[str, ...]) -> np.ndarray:
    """Answers, NaN where unknown: (star, question)."""
    both = [answers(test, name) for name in questions]
    return np.stack([np.where(known, held.astype(float), np.nan) for held, known in both], axis=1)


def ablation(said: Mapping[str, Said], test: af.SampleSet, questions: tuple[str, ...], data: str) -> Iterator[Number]:
    """Mean PR-AUC over the questions, of every model, beside the fused network."""
    truth, groups = truth_of(test, questions), group_codes(test)
    fused = matrix(said["network, features and DMDT"], questions)
    drawn = {name: M.resampled(label_pr_auc, truth, matrix(one, questions), groups, 500) for name, one in said.items()}
    reference = M.value(label_pr_auc, truth, fused)
    for name, one in said.items():
        low, high = M.interval(drawn[name])
        apart = None if name == "network, features and DMDT" else M.interval(drawn[name] - drawn["network, features and DMDT"])
        yield Number(
            f"mean PR-AUC of {len(questions)} questions: {name}", M.value(label_pr_auc, truth, matrix(one, questions)), low, high, n=len(test), data=data,
            reference_name="" if apart is None else "the network with both", reference=None if apart is None else reference, difference=apart,
        )  # fmt: skip


def one_network(recipe: af.Recipe, samples: af.SampleSet, split: Split, questions: tuple[str, ...]) -> Said:
    """The head that cannot contradict the taxonomy, one training for all."""
    asked = samples
    for question in questions:
        asked = asking(asked, question)
    run = af.train(together(recipe, questions, TREES), asked, [HOLDS.format(name) for name in questions], split=split, device="cpu", progress=False)
    given, _ = run.outputs(asked.select(split.test))
    return {name: given[:, i] for i, name in enumerate(questions)}


def told_apart(said: Mapping[str, Said], questions: tuple[str, ...], data: str) -> Iterator[Number]:
    """How often scores contradict the taxonomy."""
    for name in ("network, features and DMDT", "trees, features", "one network for all questions"):
        table = contradictions(said[name], TREES, 0.05)
        yield Number(f"share of scores more than 0.05 above their parent's: {name}", float(np.mean(table["share"])), n=len(table), data=data, note="mean over pairs of a class and the one above it")


def what_matters(family: object, trees: object, test: af.SampleSet, questions: tuple[str, ...], data: str) -> Iterator[Number]:
    """Share of the loss of PR-AUC, when exchanged between stars, of the period, the Fourier fit and the other statistics; and of attributions."""
    groups = {
        "period": ["log_period"], "Fourier fit": [name for name in test.inputs if name.startswith(FOURIER)],
        "statistics": [name for name in test.inputs if name != "log_period" and not name.startswith(FOURIER)],
    }  # fmt: skip
    models = {"trees": lambda question: lambda s: trees.predict(s)[f"{question}_trees"], "network": lambda question: lambda s: family[question].outputs(s)[0][:, 1]}  # type: ignore[attr-defined]
    for name, model in models.items():
        each = [importance(model(question), test, question, groups, repeats=2) for question in questions]
        for group in groups:
            shares = [float(table["share"][list(table["name"]).index(group)]) for table in each]
            yield Number(
                f"importance of the {group}, {name}", float(np.mean(shares)), min(shares), max(shares), n=len(test), data=data,
                note=f"share of the PR-AUC lost by exchange, mean and range of {', '.join(questions)}; published: period and Fourier power are the most important",
            )  # fmt: skip
        single = [importance(model(question), test, question, repeats=1) for question in questions]
        first = [str(table["name"][0]) for table in single]
        ranks = [list(table["name"]).index("log_period") + 1 for table in single]
        yield Number(f"rank of the period among {len(test.inputs)} inputs, {name}", float(np.mean(ranks)), min(ranks), max(ranks), data=data, note=f"first: {', '.join(f'{q}: {f}' for q, f in zip(questions, first, strict=True))}")
    some = test.take(np.arange(min(120, len(test))))
    ranks, first = [], []
    for question in questions:
        found = af.explain.attribute(family[question], some, "integrated_gradients", target=True, steps=24)  # type: ignore[index]
        size = np.abs(found.values["table"]).mean(axis=0)
        order = [test.inputs[i] for i in np.argsort(-size)]
        ranks.append(order.index("log_period") + 1), first.append(order[0])
    yield Number("rank of the period by integrated gradients, network", float(np.mean(ranks)), min(ranks), max(ranks), n=len(some), data=data, note=f"first: {', '.join(f'{q}: {f}' for q, f in zip(questions, first, strict=True))}")


def active(samples: af.SampleSet, split: Split, quick: bool) -> Iterator[Number]:
    """Labels asked for where the network is least sure, beside labels by chance."""
    asked = asking(samples, "rrlyr")
    recipe = af.get_recipe("scope")
    recipe = recipe.change(schedule=af.Part.of("end_to_end", **{**recipe.schedule.options, "epochs": 20, "batch_size": 16}))
    table = af.explain.active_curve(
        recipe, asked, HOLDS.format("rrlyr"), "entropy", ["table"], start=20, batch=20, rounds=2 if quick else 4, seeds=2 if quick else 3, split=split, metric="pr_auc", device="cpu",
    )  # fmt: skip
    rows = table[table["by"] == "entropy"]
    chance = table[table["by"] == "random"]
    for row, other in zip(rows[1:], chance[1:], strict=True):
        yield Number(
            f"PR-AUC of RR Lyrae after {row['labels']} labels, the least sure first", row["value"], row["low"], row["high"], n=len(split.test), data="crts-variables, features alone, simulated labelling",
            reference_name="labels by chance", reference=float(other["value"]), difference=(float(row["difference_low"]), float(row["difference_high"])), note=f"{2 if quick else 3} seeds",
        )  # fmt: skip


def periodic(quick: bool) -> Iterator[Number]:
    """Is there order in time: stars beside their own epochs shuffled (simulated), by trees; statistics that know no order are the control."""
    count = QUICK_NULLS if quick else NULLS
    stars = af.load_samples("crts-variables", progress=False)
    stars = stars.take(np.sort(np.random.default_rng(1).permutation(len(stars))[:count]))
    both = measured(with_shuffled(stars), f"scope-shuffled-{count}")
    split = both.split(test=0.4, seed=0)
    test = both.select(split.test)
    blind = [name for name in both.inputs if name in ("median", "wstd", "iqr", "skew", "small_kurtosis", "stetson_k", "median_abs_dev", "chi2red", "anderson_darling")]
    control = both
    for name in [name for name in both.inputs if name not in blind]:
        control = without(control, name)
    for name, one in (("all features", both), ("control, statistics that know no order", control)):
        row = judge_answers({ORDERED: train_trees(one, (ORDERED,), split=split).predict(one.select(split.test))[f"{ORDERED}_trees"]}, test, resamples=300)[0]
        yield Number(f"ROC-AUC of periodic or shuffled, {name}", row["roc_auc"], row["roc_auc_low"], row["roc_auc_high"], n=len(test), data=f"{count} of crts-variables and their shuffled twins (simulated)")


def survey_shortcut(quick: bool) -> Iterator[Number]:
    """Why ZTF's sources are no negatives of "variable" here: which survey a curve is from is plain from how it was sampled."""
    parts = []
    for name in ("crts-variables", "ztf-sources"):
        one = af.load_samples(name, progress=False)
        parts.append(one.take(np.flatnonzero(one.column("epochs") >= 20)[: 400 if quick else 1000]).represent("light_curve", "features", which="published", period=""))
    values = [one.arrays("light_curve")["values"] for one in parts]
    channels = parts[0].spec("light_curve").channels
    truth = np.concatenate([np.full(len(one), i) for i, one in enumerate(values)])
    for name in ("n", "median"):
        score = np.concatenate([one[:, channels.index(name)] for one in values])
        made = M.value(lambda t, s, w: M.classes.binary_roc_auc(t == 0, s, w), truth, score)
        yield Number(f"shortcut: ROC-AUC of the survey from {name} alone", max(made, 1 - made), n=len(truth), data="crts-variables and ztf-sources, 20 epochs or more", note="a classifier of variable against ZTF's constant stars would learn the survey; none is trained")


def published_scores() -> Iterator[Number]:
    """How far SCoPe's own networks and trees agree on 100 sources of field 296."""
    table = agreement(af.load_samples("scope-predictions", progress=False).table)
    taken = table[(table["both"] + table["first_only"] + table["second_only"]) > 0]
    data = "scope-predictions, 100 sources of field 296, real published scores"
    yield Number("questions with scores of both, published", float(len(table)), n=100, data=data, published=44)
    yield Number("agreement of published networks and trees above 0.7", float(np.mean(table["agree"])), float(np.min(table["agree"])), n=100, data=data, note=f"mean over questions, low: the worst, {table['question'][np.argmin(table['agree'])]}; {len(taken)} of {len(table)} questions are taken by either of any source")
    row = table[list(table["question"]).index("vnv")]
    yield Number("kappa of published networks and trees, variable", float(row["kappa"]), n=100, data=data, note=f"both {row['both']}, network alone {row['first_only']}, trees alone {row['second_only']}, neither {row['neither']}")
    both = {name: scores_of(af.load_samples("scope-predictions", progress=False).table, name) for name in ("_dnn", "_xgb")}
    for name, scores in both.items():
        made = contradictions(scores, TREES, 0.05)
        yield Number(f"share of published scores more than 0.05 above their parent's, {name[1:]}", float(np.mean(made["share"])), n=len(made), data=data, note="classifiers trained apart know nothing of the tree")
