"""Folders of Hugging Face ``datasets`` without that library: Parquet that ``load_dataset(folder)`` finds, and Arrow that ``save_to_disk`` writes.

Source: https://huggingface.co/docs/datasets (repository structure: ``data/<split>-00000-of-00001.parquet``, named in the README's YAML;
``save_to_disk``: ``data-*.arrow`` streams beside ``dataset_info.json`` and ``state.json``, a folder a split for a DatasetDict). The set's
own ``split`` column (role ``split``) makes the splits; without one all objects are ``train``.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from astrofuse_lab.errors import InputError, SampleSetError
from astrofuse_lab.samples.exchange import parquet
from astrofuse_lab.samples.exchange.rows import schema_of, stretches
from astrofuse_lab.samples.exchange.rows_in import from_rows
from astrofuse_lab.samples.joining import joined
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet


def read(path: Path, split: str | None = None, bad_masks: bool = True) -> SampleSet:
    """All splits in one set, or one of them."""
    found = sorted([*path.glob("*.parquet"), *path.glob("data/*.parquet"), *path.glob("*/*.parquet")]) if path.is_dir() else [path]
    arrow = sorted([*path.glob("data-*.arrow"), *path.glob("*/data-*.arrow")])
    named = {f: f.name.split("-")[0] if f.suffix == ".parquet" else (f.parent.name if f.parent != path else "train") for f in dict.fromkeys([*found, *arrow])}
    wanted = [f for f, name in named.items() if split is None or name == split]
    if not wanted:
        raise SampleSetError(f"{path} holds no {'split ' + repr(split) if named else 'Parquet or Arrow files of data sets'}; splits: {', '.join(sorted(set(named.values()))) or 'none'}.")
    return joined([from_rows(parquet.checked(f) if f.suffix == ".parquet" else _stream(f), f, path.name, bad_masks) for f in wanted])


def _stream(file: Path) -> pa.Table:
    files.exists(file)
    with files.reading(file, "an Arrow stream"), pa.memory_map(str(file)) as source:
        return pa.ipc.open_stream(source).read_all()


def write(samples: SampleSet, path: Path) -> None:
    """A folder for ``load_dataset``: ``data/<split>-*.parquet`` and a README that says which is which."""
    sides = [n for n, role in samples.roles.items() if role == "split"]
    values = samples.column(sides[0]).filled("train").astype(str) if sides else np.full(len(samples), "train")
    names = list(dict.fromkeys(values.tolist())) or ["train"]
    if bad := [n for n in names if not n.replace("_", "").isalnum()]:
        raise InputError(f"column {sides[0]!r} has the side {bad[0]!r}; names of splits are letters, digits and _.")
    (path / "data").mkdir()
    for name in names:
        part = samples.take(values == name) if len(samples) else samples
        with pq.ParquetWriter(path / "data" / f"{name}-00000-of-00001.parquet", schema_of(part)) as writer:
            for rows in stretches(part):
                writer.write_table(rows)
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for name in names:
        lines += [f"  - split: {name}", f"    path: data/{name}-*.parquet"]
    card = samples.card
    lines += [f"license: {json.dumps(card.licence)}"] if card.licence else []
    lines += ["---", "", f"# {card.title or card.name}", "", card.citation, "", *(f"- {note}" for note in card.notes)]
    (path / "README.md").write_text("\n".join(lines) + "\n")
