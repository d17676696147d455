"""Several networks, several questions: what some network says yes to is a yes, and what all questions say yes to is kept.

DeepStreaks asks three questions of a cutout (real? short? to be kept?), each of three networks: OR among the networks of a question, so that what
one of them overlooks another finds, and AND over the questions, so that each of them can turn a false one away (Duev et al. 2019, MNRAS 486, 4158).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError

if TYPE_CHECKING:
    from astropy.table import Table

    from astrofuse_lab.samples.sample_set import SampleSet
    from astrofuse_lab.training.run import Run

KIND = "committee"


class Verdict(NamedTuple):
    """What a committee says.

    Attributes
    ----------
    score : array, (sample,)
        The least, over the questions, of the greatest probability, over a question's networks: a sample is kept at every threshold up to it.
    kept : bool array, (sample,)
        At the threshold that was asked for.
    questions : dict of str to array, (sample,)
        Each question's greatest probability.
    votes : dict of str to int array, (sample,)
        How many of its networks say yes.
    """

    score: NDArray[np.float64]
    kept: NDArray[np.bool_]
    questions: dict[str, NDArray[np.float64]]
    votes: dict[str, NDArray[np.int64]]


def any_and_all(said: Mapping[str, Sequence[NDArray[Any]]], threshold: float = 0.5) -> Verdict:
    """OR among the networks of a question, AND over the questions.

    Parameters
    ----------
    said : mapping of question to sequence of array, (sample,)
        Probabilities of yes, one array a network; NaN where a network says nothing: it does not vote. A sample on which a question has no vote at all is not kept.
    threshold : float
        A yes is a probability of at least this.

    Returns
    -------
    Verdict

    Raises
    ------
    InputError
        For no question, a question without a network, arrays of different lengths, or what is no probability.
    """
    if not said or not all(len(networks) for networks in said.values()):
        raise InputError("a committee needs at least one question, and each question at least one network.")
    stacked: dict[str, NDArray[Any]] = {question: np.stack([np.ma.filled(np.ma.asarray(one, float), np.nan) for one in _alike(question, networks)]) for question, networks in said.items()}
    lengths = {question: one.shape[1] for question, one in stacked.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"the questions were asked of different numbers of samples: {', '.join(f'{q} {n}' for q, n in lengths.items())}.")
    for question, one in stacked.items():
        if ((one < 0) | (one > 1)).any():
            raise InputError(f"{question!r} holds numbers outside 0 to 1, e.g. {one[(one < 0) | (one > 1)][0]:g}; give probabilities of yes.")
    best = {question: np.where(np.isnan(one), -np.inf, one).max(0) for question, one in stacked.items()}
    score = np.stack(list(best.values())).min(0)
    shown = {question: np.where(np.isfinite(one), one, np.nan) for question, one in best.items()}
    votes = {question: (one >= threshold).sum(0) for question, one in stacked.items()}
    return Verdict(np.where(np.isfinite(score), score, np.nan), score >= threshold, shown, votes)


def _alike(question: str, networks: Sequence[NDArray[Any]]) -> Sequence[NDArray[Any]]:
    sizes = {np.shape(one) for one in networks}
    if len(sizes) > 1 or len(next(iter(sizes))) != 1:
        raise InputError(f"the networks of {question!r} give arrays of {', '.join(map(str, sorted(sizes)))}; give one probability a sample each.")
    return networks


class Committee:
    """Runs by the question they answer: classes yes (True, or the second of two) and no.

    Parameters
    ----------
    runs : mapping of question to sequence of Run
        E.g. ``{"rb": [vgg6, resnet50, densenet121], "sl": [...], "kd": [...]}``.

    Raises
    ------
    InputError
        For a run that is not one of two classes.
    """

    def __init__(self, runs: "Mapping[str, Sequence[Run]]") -> None:
        self.runs = {question: list(members) for question, members in runs.items()}
        for question, members in self.runs.items():
            for run in members:
                if len(run.classes) != 2:
                    raise InputError(f"a run of {question!r} predicts {run.task.replace('_', ' ')} of {len(run.classes)} classes; a committee asks yes or no.")

    def save(self, path: str | Path, overwrite: bool = False) -> Path:
        """A folder with each run in one of its own (`astrofuse_lab.training.families`)."""
        from astrofuse_lab.training.families import save_family

        return save_family(path, KIND, {(question, str(i)): run for question, members in self.runs.items() for i, run in enumerate(members)}, {}, overwrite)

    @classmethod
    def open(cls, path: str | Path, device: str = "auto") -> "Committee":
        """Open such a folder; RunError where it is none, or a run lacks."""
        from astrofuse_lab.training.families import damaged, open_family

        runs, _ = open_family(path, KIND, device)
        members: dict[str, list[Run]] = {}
        try:
            for (question, _number), run in runs.items():
                members.setdefault(question, []).append(run)
            return cls(members)
        except (ValueError, InputError) as error:
            raise damaged(path, error) from None

    def ask(self, samples: "SampleSet", threshold: float = 0.5) -> Verdict:
        """The verdict on every sample; a network that has nothing of a sample to go by does not vote."""
        said = {question: [_yes(run, samples) for run in members] for question, members in self.runs.items()}
        return any_and_all(said, threshold)

    def predict(self, samples: "SampleSet", threshold: float = 0.5) -> "Table":
        """One row a sample: object_id, score, kept, and of each question its greatest probability and its votes (``rb``, ``rb_votes``, ...)."""
        from astropy.table import Table

        said = self.ask(samples, threshold)
        table = Table({"object_id": samples.object_ids, "score": said.score, "kept": said.kept})
        for question in self.runs:
            table[question], table[f"{question}_votes"] = said.questions[question], said.votes[question]
        table.meta.update(threshold=threshold, simulated=samples.simulated)
        return table


def _yes(run: "Run", samples: "SampleSet") -> NDArray[np.float64]:
    said, seen = run.outputs(samples)
    return np.where(seen, said[:, 1], np.nan)
