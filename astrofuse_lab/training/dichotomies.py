"""Many yes-or-no questions about the same objects, a network each: SCoPe's dichotomous classifiers (van Roestel et al. 2021, AJ 161, 267).

Labels are fractions (0 to 1, columns of the sample set); a class holds above a threshold. Every network is trained by itself, on all samples or on those
inside the class above, and knows nothing of the others: where scores contradict the taxonomy shows how far to trust them. The head ``taxonomy`` is the
other way: one network for all questions that cannot contradict itself (`together`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TrainingError
from astrofuse_lab.recipes.catalogue import get_recipe
from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.recipes.taxonomy import THRESHOLD, Taxonomy
from astrofuse_lab.samples.annotations import with_column
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.split import Split, group_codes
from astrofuse_lab.training.families import damaged, open_family, save_family
from astrofuse_lab.training.loop import train
from astrofuse_lab.training.run import Run

if TYPE_CHECKING:
    from astropy.table import Table

KIND = "dichotomies"
HOLDS = "{}_holds"
"""Name of the column that holds the answers to a question."""
LEAST = 2
"""Groups with each answer that a question needs in the training part: one to train on and one to validate."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
"""What a question may be called: its run is in a folder of this name."""


def answers(samples: SampleSet, question: str, threshold: float = THRESHOLD) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Whether a class holds, and where that is known: (sample,) each.

    Raises
    ------
    InputError
        For a column that holds no fractions or booleans.
    """
    column = samples.column(question)
    if column.dtype.kind not in "fiub":
        raise InputError(f"question {question!r}: the column holds {column.dtype.name}; fractions from 0 to 1, or booleans, are expected.")
    values = np.ma.filled(column.astype(np.float64), np.nan)
    known = np.isfinite(values)
    if known.any() and not ((values[known] >= 0) & (values[known] <= 1)).all():
        raise InputError(f"question {question!r}: fractions from {values[known].min():g} to {values[known].max():g}; from 0 to 1 is expected.")
    return np.asarray(np.where(known, values, 0.0) > threshold), np.asarray(known)


def with_fractions(samples: SampleSet, fractions: Mapping[str, Mapping[str, float]], questions: Sequence[str], label: str = "label") -> SampleSet:
    """The set with a column of fractions a question, missing where nobody knows.

    Parameters
    ----------
    samples : SampleSet
    fractions : mapping of label to mapping of question to fraction
        E.g. ``{name: fractions_of(name) for name in CRTS}`` of `astrofuse_lab.recipes.taxonomies`.
    questions : sequence of str
    label : str
        Column of the labels.
    """
    names = np.ma.filled(samples.column(label).astype(str), "").tolist()
    for question in questions:
        values = [fractions.get(name, {}).get(question) for name in names]
        samples = with_column(samples, question, pa.array(values, pa.float64()), "target")
    return samples


class Dichotomies:
    """Networks that each answer one question.

    Parameters
    ----------
    runs : mapping of question to Run
        Of two classes, False and True.
    threshold : float
        Above which a fraction was taken for a yes.

    Raises
    ------
    InputError
        For no run at all, a name that cannot be a folder's, or a run that answers anything else.
    """

    def __init__(self, runs: Mapping[str, Run], threshold: float = THRESHOLD) -> None:
        if not runs:
            raise InputError("there is no run. train_dichotomies(recipe, samples, questions) trains one a question.")
        for name, run in runs.items():
            if not NAME.fullmatch(name):
                raise InputError(f"question {name!r}: letters, digits, '_', '.' and '-' only; it names a folder.")
            if run.classes != (False, True):
                raise InputError(f"the run of {name!r} has the classes {run.classes}; a question has False and True.")
        self.runs, self.threshold = dict(runs), float(threshold)

    @property
    def questions(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(self.runs)

    def __getitem__(self, question: str) -> Run:
        if question not in self.runs:
            raise InputError(f"there is no question {question!r}; there are {', '.join(self.runs)}.")
        return self.runs[question]

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        first = next(iter(self.runs.values()))
        return f"Dichotomies({len(self)} questions, {first.recipe.name!r} from {', '.join(first.modalities)}: {', '.join(self.runs)})"

    def predict(self, samples: SampleSet, ending: str = "_dnn") -> "Table":
        """Probability that each class holds: object_id and ``<question><ending>``, masked where a run has nothing to go by."""
        from astropy.table import MaskedColumn, Table

        table = Table({"object_id": samples.object_ids})
        for name, run in self.runs.items():
            said, seen = run.outputs(samples)
            table[f"{name}{ending}"] = MaskedColumn(said[:, 1], mask=~seen)
        return table

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """A folder with each run in one of its own (`astrofuse_lab.training.families`)."""
        return save_family(path, KIND, {(name,): run for name, run in self.runs.items()}, {"threshold": self.threshold}, overwrite)

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "Dichotomies":
        """Open such a folder; RunError where it is none, or a run lacks."""
        runs, about = open_family(path, KIND, device)
        try:
            return cls({name: run for (name,), run in runs.items()}, float(about["threshold"]))
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise damaged(path, error) from None


def train_dichotomies(
    recipe: str | Recipe, samples: SampleSet, questions: Sequence[str], *, split: Split | None = None, modalities: Sequence[str] | None = None,
    threshold: float = THRESHOLD, within: Sequence[Taxonomy] = (), out: str | Path | None = None, **options: Any,
) -> Dichotomies:  # fmt: skip
    """Train a recipe once a question, each with the same split.

    Parameters
    ----------
    recipe : str or Recipe
        With a head of two classes; the published one is ``"scope"``. Classes weigh alike unless its objective says otherwise.
    samples : SampleSet
        With a column of fractions, or booleans, a question; samples where it is missing take no part in that question.
    questions : sequence of str
    split, modalities
        As in ``af.train``.
    threshold : float
        A class holds where its fraction is above.
    within : sequence of Taxonomy
        A question is then asked only of samples of which the nearest class above it, as far as it is a column, holds: what a tree of decisions needs. (): of all, as published.
    out : path, optional
        A folder for the runs; the same call goes on after a stop.
    **options
        Of ``af.train``: seed, epochs, device ...

    Returns
    -------
    Dichotomies

    Raises
    ------
    InputError
        For a column that is no answer.
    TrainingError
        For a question with fewer than two groups of either answer in the training part.
    """
    folder = None if out is None else Path(out).expanduser()
    if not questions or len(set(questions)) < len(questions):
        raise InputError(f"questions={list(questions)}: names of columns, each once.")
    runs = {}
    for question in questions:
        asked = asking(samples, question, threshold, within)
        check_answers(asked, question, split)
        told = {"progress": False, **options}
        runs[question] = train(recipe, asked, HOLDS.format(question), modalities, split, out=None if folder is None else folder / question, **told)
    made = Dichotomies(runs, threshold)
    if folder is not None:
        made.save(folder, overwrite=True)
    return made


def asking(samples: SampleSet, question: str, threshold: float = THRESHOLD, within: Sequence[Taxonomy] = ()) -> SampleSet:
    """The set with the answers to a question as the column ``<question>_holds``, missing where they are unknown or not asked for."""
    held, known = answers(samples, question, threshold)
    above = next((one for tree in within if question in tree for one in reversed(tree.ancestors(question)) if one in samples.roles), "")
    if above:
        inside, told = answers(samples, above, threshold)
        known = known & inside & told
    return with_column(samples, HOLDS.format(question), pa.array(held, mask=~known), "target")


def check_answers(asked: SampleSet, question: str, split: Split | None = None) -> None:
    """Raise TrainingError unless the training part has at least two groups of each answer."""
    rows = np.arange(len(asked)) if split is None else asked.positions([*split.train, *split.validation])
    column = asked.column(HOLDS.format(question))[rows]
    codes, known = group_codes(asked, split.group if split else None)[rows], ~np.ma.getmaskarray(column)
    counts = [len(np.unique(codes[known & (column.data == value)])) for value in (False, True)]
    if min(counts) < LEAST:
        raise TrainingError(f"question {question!r} has {counts[1]} group(s) of yes and {counts[0]} of no to train on; at least {LEAST} of each are needed. Leave it out.")


def together(recipe: str | Recipe, questions: Sequence[str], taxonomies: Sequence[Taxonomy]) -> Recipe:
    """The recipe with one head for all questions, which cannot contradict the taxonomies: train it on the columns ``<question>_holds``."""
    tree = [line for one in taxonomies for line in one.tree([name for name in questions if name in one])]
    return get_recipe(recipe).change(head=Part.of("taxonomy", labels=list(questions), tree=tree, hidden=0, dropout=0.0))
