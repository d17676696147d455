"""A benchmark as a challenge package: a training set, test inputs without answers, and, apart from them, the answers.

::

    public/README.md                task, metrics, rules, citation
    public/train                    a sample set: inputs, target, groups
    public/test                     a sample set: inputs only, under new ids and in a new order
    public/sample_submission.csv    what a submission looks like: the classes' shares for every object
    public/score.py                 numpy only
    organiser/labels.csv            object_id, label
    organiser/ids.csv               object_id, the set's own id
"""

import csv
import io
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import Card
from astrofuse_lab.storage import new_folder, write_bytes
from astrofuse_lab.training import challenge_score
from astrofuse_lab.training.trees import chance_predictions

if TYPE_CHECKING:
    from astrofuse_lab.training.benchmarks import Benchmark


def export(benchmark: "Benchmark", folder: str | Path, seed: int | None = None) -> Path:
    """Write the package, all of it or nothing.

    Of the test objects only what a model may see is given: no position, date, name or other column by which one could be looked up, under
    ids that say nothing, in an order that says nothing.

    Parameters
    ----------
    benchmark : Benchmark
    folder : path
        New.
    seed : int, optional
        Of the test's new order. None: drawn from the system, so that nobody can make the ids again; a number is for tests.

    Raises
    ------
    StorageError
        If the folder exists or cannot be written.
    """
    samples, split = benchmark.samples(), benchmark.split
    order = np.random.default_rng(secrets.randbits(128) if seed is None else seed).permutation(len(split.test))
    own = [split.test[i] for i in order]
    new = [f"t{i:06d}" for i in range(len(own))]
    test = samples.select(own)
    truth = [_said(v) for v in test.column(benchmark.target).data]
    path = Path(folder).expanduser()
    with new_folder(path) as made:
        (made / "public").mkdir()
        hidden_from(test, new, benchmark).save(made / "public" / "test")
        samples.select([*split.train, *split.validation]).save(made / "public" / "train")
        write_bytes(made / "public" / "sample_submission.csv", _sample(benchmark, new))
        write_bytes(made / "public" / "score.py", Path(challenge_score.__file__).read_bytes())
        write_bytes(made / "public" / "README.md", _readme(benchmark, len(new)).encode())
        write_bytes(made / "organiser" / "labels.csv", _table(["object_id", "label"], [new, truth]))
        write_bytes(made / "organiser" / "ids.csv", _table(["object_id", "own_id"], [new, own]))
    return path


def hidden_from(samples: SampleSet, ids: list[str], benchmark: "Benchmark") -> SampleSet:
    """The same objects with nothing but the benchmark's inputs, under other ids."""
    allowed = samples.inputs if "table" in benchmark.modalities else ()
    columns: dict[str, Any] = {"object_id": ids}
    for name in allowed:
        column = samples.column(name)
        columns[name] = pa.array(column.data, mask=np.ma.getmaskarray(column))
    data = {name: samples.data_of(name) for name in benchmark.modalities if name != "table"}
    card = samples.card
    told = Card(f"{card.name}-challenge", f"{benchmark.entry.title}: test inputs", samples.simulated, card.citation, card.licence, benchmark.entry.notes)
    units = {name: unit for name, unit in samples.units.items() if name in allowed}
    return SampleSet(pa.table(columns), data, dict.fromkeys(allowed, "input"), units, told)


def _said(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float | np.floating) else str(value)


def _table(header: list[str], columns: list[Any]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue().encode()


def _sample(benchmark: "Benchmark", ids: list[str]) -> bytes:
    """Chance, as a submission."""
    samples, split = benchmark.samples(), benchmark.split
    learn = samples.positions([*split.train, *split.validation])
    chance = chance_predictions(benchmark.problem, benchmark.problem.encode(samples)[0], learn, np.arange(len(ids)))
    return _table(["object_id", *benchmark.columns], [ids, *([repr(float(v)) for v in column] for column in chance.reshape(len(ids), -1).T)])


def _readme(benchmark: "Benchmark", count: int) -> str:
    entry, card, split = benchmark.entry, benchmark.samples().card, benchmark.split
    columns = ", ".join(f"`{c}`" for c in benchmark.columns)
    simulated = "\n**Simulated data: nothing here was observed.**\n" if benchmark.samples().simulated else ""
    notes = "\n".join(f"- {note}" for note in entry.notes)
    return f"""# {entry.title}
{simulated}
Predict `{entry.target}` of {count} objects in `test` from {", ".join(entry.modalities)}; {len(split.train) + len(split.validation)} objects in `train` have it.

| file | what |
|---|---|
| `train`, `test` | sample sets of AstroFuse Lab: `af.SampleSet.open("train")`; arrays are plain `.npy`, columns Parquet |
| `sample_submission.csv` | object_id, {columns}: the shares of the training part, for every object |
| `score.py` | `python score.py submission.csv labels.csv`; needs numpy only |

Ranked by **{entry.metrics[0]}**; also measured: {", ".join(entry.metrics[1:])}. A submission holds every id of `test` once{"; a row's probabilities sum to 1" if entry.task == "classification" else ""}.

Rules: the objects are of a public data set. Looking them up, or training on anything but `train` that may hold them, is no solution.

{notes}

Benchmark `{entry.name}`, digest `{benchmark.digest}`. Cite: {card.citation or "-"}
Licence: {card.licence or "-"}
"""
