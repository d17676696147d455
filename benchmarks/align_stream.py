"""Batches of a set on disk beside numpy's own memory map, and opening a set of a million objects."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from reporting import Line, interleaved

from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import ModalitySpec

BATCH = 256


def _images(folder: Path, objects: int, side: int) -> SampleSet:
    """A set of random images, written a thousand at a time so that memory holds none of it."""
    from astrofuse_lab.samples.building import build_samples

    step = 2000

    def make(number: int) -> SampleSet:
        n = min(step, objects - number * step)
        rng = np.random.default_rng(number)
        flux = rng.standard_normal((n, 1, side, side), dtype=np.float32)
        spec = ModalitySpec("image", "image", ("g",), (1, side, side), "uJy", scale=0.5)
        ids = pa.table({"object_id": [f"object-{number * step + i:08d}" for i in range(n)]})
        return SampleSet(ids, {"image": ModalityData(spec, {"flux": flux, "mask": flux > -3}, np.ones(n, dtype=bool))})

    return build_samples(folder, -(-objects // step), make)


def _wide(folder: Path, objects: int) -> Path:
    rng = np.random.default_rng(0)
    columns = {"object_id": pa.array([f"object-{i:08d}" for i in range(objects)]), **{f"c{i}": rng.normal(size=objects) for i in range(20)}}
    offsets = np.arange(objects + 1) * 3
    spec = ModalitySpec("light_curve", "light_curve", ("g",))
    fields = {
        "offsets": offsets, "time": rng.uniform(59000, 60000, offsets[-1]), "flux": rng.normal(size=offsets[-1]).astype(np.float32),
        "flux_err": np.ones(offsets[-1], np.float32), "band": np.zeros(offsets[-1], np.int8), "mask": np.ones(offsets[-1], dtype=bool),
    }  # fmt: skip
    data = {"light_curve": ModalityData(spec, fields, np.ones(objects, dtype=bool))}
    return SampleSet(pa.table(columns), data, {f"c{i}": "input" for i in range(20)}).save(folder)


def lines(quick: bool) -> Iterator[Line]:
    """Batches of 256 random rows, all in the page cache: what telling the system which rows come next costs where it cannot help; then a million objects opened (goal: a second)."""
    objects, side = (8_000, 48) if quick else (40_000, 64)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        samples = _images(folder, objects, side)
        flux, mask = (np.load(folder / f"image.{field}.npy", mmap_mode="r") for field in ("flux", "mask"))
        batches = np.random.default_rng(1).integers(0, objects, (20, BATCH))
        ours = interleaved(
            lambda: [samples.arrays("image", rows) for rows in batches], lambda: [(np.asarray(flux[rows]), np.asarray(mask[rows])) for rows in batches]
        )
        got = samples.arrays("image", batches[0])
        error = float(np.abs(got["flux"] - flux[batches[0]]).max())
        equal = error == 0 and bool(np.array_equal(got["mask"], mask[batches[0]]))
        yield Line(f"20 batches of {BATCH} random images of {objects}, flux and mask", "numpy memmap, fancy indexing", equal, error, 0.0, *ours, 0.7)

        many = 1_000_000
        wide = _wide(Path(place) / "million", many)
        begin = time.perf_counter()
        opened = SampleSet.open(wide)
        seconds = time.perf_counter() - begin
        yield Line("a set of a million objects is opened", "one second", len(opened) == many, 0.0, 0.0, seconds, 1.0, 1.0)
