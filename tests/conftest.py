"""Fixtures shared by all tests: a tiny sample set with every modality, and no network but loopback."""

import os
import re
import socket
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import settings

# what passes here passes in CI: the same examples each time; `make prove` draws new ones
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

LOOPBACK = ("127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost", "0.0.0.0", None, "")


class SkippedRealData:
    """Names the real-data checks that were skipped in the last line of the run."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple) and "real data" in report.longrepr[2]:
            self.said[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        if self.said:
            print(f"real-data checks skipped ({next(iter(self.said.values()))}): {', '.join(self.said)}")


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes run the tests, the one that people look at tells."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(SkippedRealData(), "skipped-real-data")


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves this machine, except in tests marked ``remote``."""
    if request.node.get_closest_marker("remote"):
        return
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in LOOPBACK:
            raise OSError(f"the tests may not reach {host}: the network is cut")
        return connect(self, address)  # type: ignore[arg-type]

    def guarded_lookup(host: object, *args: object, **kwargs: object) -> object:
        if host not in LOOPBACK:
            raise socket.gaierror(socket.EAI_NONAME, f"the tests may not look up {host}: the network is cut")
        return lookup(host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test session's own, so that nothing of the user's is read or written."""
    root = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("ASTROFUSE_CACHE", str(root))
    return root


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data sets, or a skip that says how to get it."""
    root = Path(os.environ.get("ASTROFUSE_MIRROR", Path(__file__).parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"real data: no mirror at {root}; set ASTROFUSE_MIRROR to one")
    return root


def make_toy_samples(n: int = 60, seed: int = 0, classes: int = 3):
    """A SampleSet with all five modalities, some missing, whose class shows weakly in each of them."""
    from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
    from astrofuse_lab.samples.specification import Card, ModalitySpec

    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, n)
    wavelength = 4000 * 10 ** (2e-3 * np.arange(96))

    flux = rng.normal(0, 1, (n, 2, 16, 16)).astype(np.float32)
    flux[:, :, 6:10, 6:10] += 1.5 * label[:, None, None, None]
    image = ModalityData(
        ModalitySpec("image", "image", ("g", "r"), (2, 16, 16), "uJy", scale=0.5),
        {"flux": flux, "mask": rng.random(flux.shape) > 0.02, "ivar": np.ones_like(flux), "psf_fwhm": np.full((n, 2), 1.2, dtype=np.float32)},
        rng.random(n) > 0.1,
    )
    spec = (1 + rng.normal(0, 0.3, (n, 96))).astype(np.float32)
    for i, c in enumerate(label):
        spec[i, 20 + 20 * c : 24 + 20 * c] += 1.5
    spectrum = ModalityData(
        ModalitySpec("spectrum", "spectrum", (), (96,), "1e-17 erg / (s cm2 Angstrom)"),
        {"lambda": wavelength, "flux": spec, "ivar": np.full_like(spec, 11.0), "mask": rng.random(spec.shape) > 0.02},
        rng.random(n) > 0.2,
    )
    counts = rng.integers(8, 25, n)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(offsets[-1])
    time = np.concatenate([np.sort(rng.uniform(59000, 59100, c)) for c in counts])
    phase = np.concatenate([np.full(c, l) for c, l in zip(counts, label, strict=True)])
    light = ModalityData(
        ModalitySpec("light_curve", "light_curve", ("g", "r"), (), "uJy", clock="UTC"),
        {
            "offsets": offsets, "time": time, "flux": (20 + 6 * np.sin(time * (1 + phase)) + rng.normal(0, 2, total)).astype(np.float32),
            "flux_err": np.full(total, 2, dtype=np.float32), "band": rng.integers(0, 2, total).astype(np.int8),
            "mask": rng.random(total) > 0.05, "limit": rng.random(total) < 0.1,
        },
        rng.random(n) > 0.15,
    )  # fmt: skip
    words = ["a blue point like source", "an extended red galaxy", "variable star with broad lines"]
    texts = [f"object {words[c % 3] if rng.random() < 0.8 else words[0]} seen" for c in label]
    raw = [t.encode() for t in texts]
    text = ModalityData(
        ModalitySpec("text", "text"),
        {"offsets": np.concatenate([[0], np.cumsum([len(r) for r in raw])]).astype(np.int64), "utf8": np.frombuffer(b"".join(raw), dtype=np.uint8)},
        rng.random(n) > 0.3,
    )
    names = np.array(["galaxy", "quasar", "star", "supernova"])[:classes]
    columns = pa.table({
        "object_id": [f"toy-{i:04d}" for i in range(n)],
        "ra": rng.uniform(0, 360, n), "dec": rng.uniform(-60, 60, n),
        "label": names[label], "is_star": label == 2, "redshift": (0.1 * label + rng.normal(0, 0.02, n)),
        "host": [f"group-{i // 2}" for i in range(n)],
        "mag_g": 20 - label + rng.normal(0, 0.7, n), "colour": pa.array(label * 0.3 + rng.normal(0, 0.3, n), mask=rng.random(n) < 0.1),
    })  # fmt: skip
    roles = {"label": "target", "is_star": "target", "redshift": "target", "host": "group", "mag_g": "input", "colour": "input"}
    data = {"image": image, "spectrum": spectrum, "light_curve": light, "text": text}
    return SampleSet(columns, data, roles, {"ra": "deg", "dec": "deg", "mag_g": "mag"}, Card("toy", "Toy samples for tests", simulated=True))


def with_series(samples, seed=0):
    """The same objects with one more modality: two channels on one axis, whose class shows in where they dip."""
    from astrofuse_lab.samples.sample_set import ModalityData
    from astrofuse_lab.samples.specification import ModalitySpec

    rng = np.random.default_rng(seed)
    classes = np.unique(samples.column("label").data, return_inverse=True)[1]
    values = rng.normal(1, 0.3, (len(samples), 2, 81)).astype(np.float32)
    for i, c in enumerate(classes):
        values[i, 0, 20 * c : 20 * c + 10] -= 2.0
    fields = {"axis": np.linspace(-0.5, 0.5, 81), "values": values, "mask": rng.random(values.shape) > 0.02}
    spec = ModalitySpec("series", "series", ("primary", "secondary"), (2, 81), "depth", axis="phase", axis_unit="")
    return samples.with_data({**{n: samples.data_of(n) for n in samples.modalities if n != "table"}, "series": ModalityData(spec, fields, rng.random(len(samples)) > 0.1)})


@pytest.fixture(scope="session")
def toy_samples():
    """60 objects, all five modalities, three classes."""
    return make_toy_samples()


LONGEST = ("test_lab.py", "test_workbench.py", "test_notebook7.py")
"""Begun first, so that no process is left alone with them at the end."""


def _other_theme(items):
    """Of tests that run on a dark and on a light page, one of the two each, by its name: both themes are seen, at half of the time."""
    groups = {}
    for item in items:
        callspec = getattr(item, "callspec", None)
        theme = re.search(r"light|dark", callspec.id, re.IGNORECASE) if callspec and item.get_closest_marker("browser") else None
        if theme:
            rest = re.sub(r"(?i)light|dark|-?(1024|1440|1920)", "", callspec.id)
            groups.setdefault((str(item.path), item.originalname, rest), {}).setdefault(theme[0].lower(), []).append(item)
    for (_, name, rest), themes in groups.items():
        if len(themes) == 2:
            kept = "dark" if zlib.crc32(f"{name}{rest}".encode()) % 2 else "light"
            yield from (item for theme, those in themes.items() if theme != kept for item in those)


def pytest_collection_modifyitems(config, items):
    """Long files first; of a page in two themes one, and nothing marked as full, unless full counts are asked for."""
    if not os.environ.get("ASTROFUSE_PROVE"):
        left = [*_other_theme(items), *(item for item in items if item.get_closest_marker("full"))]
        config.hook.pytest_deselected(items=left)
        gone = set(map(id, left))
        items[:] = [item for item in items if id(item) not in gone]
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
