"""The named sets against their READMEs: counts, roles, groups, and what a damaged mirror gives."""

import shutil
from dataclasses import dataclass, field

import numpy as np
import pytest

import astrofuse_lab as af
from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.samples.entries import ENTRIES


@dataclass(frozen=True)
class Known:
    """What a README says of a set."""

    objects: int
    present: dict[str, int]
    classes: dict[str, dict[str, int]] = field(default_factory=dict)
    group: str | None = None
    never: tuple[str, ...] = ()
    """Columns, or beginnings of names, that must not be inputs."""
    warned: tuple[str, ...] = ()
    """Words that the card must contain."""


KNOWN = {
    "crts-variables": Known(
        4652, {"light_curve": 4652},
        {"label": {
            "RRab": 818, "EW": 807, "EA": 806, "RRc": 771, "RS_CVn": 604, "LPV": 216, "RRd": 211, "beta_lyrae": 113, "HADS": 94, "ELL": 60, "Cep_II": 49,
            "PCEB": 36, "Blazhko": 29, "ACEP": 25, "Hump": 11, "LADS": 2,
        }},
        "group", ("ra", "dec", "label", "main_class"), ("nearly balanced",),
    ),
    "supernovae": Known(
        1030, {"spectrum": 1030, "light_curve": 949, "table": 627, "text": 896},
        {"class": {"Ia": 529, "SLSN": 184, "Ibc": 136, "II": 130, "IIn": 49, "TDE": 2}, "main_class": {"Ia": 528, "Ibc": 134, "II": 121, "IIn": 43}},
        None, ("class", "subtype", "z", "n_", "bands", "sources", "mjd", "time", "lumdist", "ra", "dec", "open", "has_", "best_", "label"),
        ("partly circular", "redshift alone finds them", "0.51", "0.60", "0.29"),
    ),
    "supernova-spectra": Known(
        6658, {"spectrum": 6658}, {"class": {"Ia": 3055, "SLSN": 501, "Ibc": 1463, "II": 1060, "IIn": 577, "TDE": 2}}, "group", ("",), ("partly circular", "'group'"),
    ),
}  # fmt: skip
MIRRORED = {e.name: e for e in ENTRIES if e.folder and e.name != "ztf-alerts"}


def test_every_set_is_checked():
    assert set(KNOWN) == set(MIRRORED)


@pytest.fixture(scope="module")
def load(mirror, tmp_path_factory):
    """Sets by name, each built once, in a cache of this module."""
    cache, kept = tmp_path_factory.mktemp("readers"), {}

    def loaded(name):
        entry = MIRRORED[name]
        if not all((mirror / entry.folder / file).is_file() for file in entry.files):
            pytest.skip(f"real data: {mirror} lacks {entry.folder}")
        if name not in kept:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ASTROFUSE_CACHE", str(cache))
                kept[name] = af.load_samples(name, mirror=mirror)
        return kept[name]

    return loaded


@pytest.mark.real
@pytest.mark.parametrize("name", KNOWN)
def test_the_set_is_what_its_readme_says(load, name):
    samples, known, entry = load(name), KNOWN[name], MIRRORED[name]
    assert len(samples) == known.objects == entry.objects
    assert {m: int(samples.present(m).sum()) for m in samples.modalities} == known.present
    assert tuple(samples.modalities) == entry.modalities and samples.card.name == name and not samples.simulated
    for column, counts in known.classes.items():
        assert samples.roles[column] == "target"
        values, n = np.unique(samples.column(column).compressed(), return_counts=True)
        assert dict(zip(values.tolist(), n.tolist(), strict=True)) == counts
    size = sum(f.stat().st_size for f in samples.path.iterdir()) / 1e6
    assert size == pytest.approx(entry.megabytes, rel=0.05, abs=0.1)


@pytest.mark.real
@pytest.mark.parametrize("name", KNOWN)
def test_no_input_is_forbidden_and_the_traps_are_on_the_card(load, name):
    samples, known = load(name), KNOWN[name]
    assert not [i for i in samples.inputs if i.startswith(known.never)]
    targets = [c for c, role in samples.roles.items() if role in ("target", "group", "id", "split")]
    assert not set(targets) & set(samples.inputs)
    said = " ".join(samples.card.notes)
    assert samples.card.citation and samples.card.licence and all(words in said for words in known.warned)
    assert all(spec.provenance.survey == name for spec in samples.modalities.values())


@pytest.mark.real
@pytest.mark.parametrize("name", KNOWN)
def test_values_are_finite_and_masked_where_missing(load, name):
    samples = load(name)
    for modality, spec in samples.modalities.items():
        arrays = samples.arrays(modality, np.arange(0, len(samples), max(1, len(samples) // 200)))
        for one, array in arrays.items():
            if array.dtype.kind == "f":
                assert np.isfinite(array).all(), f"{modality}.{one}"
        if "ivar" in arrays:
            assert (arrays["ivar"] >= 0).all()
        if spec.kind == "light_curve":
            owner = np.repeat(np.arange(len(arrays["offsets"]) - 1), np.diff(arrays["offsets"]))
            assert (np.diff(arrays["time"])[np.diff(owner) == 0] >= 0).all()
            assert (arrays["flux_err"][arrays["mask"]] > 0).all()


@pytest.mark.real
@pytest.mark.parametrize("name", [n for n, k in KNOWN.items() if k.group])
def test_the_default_split_keeps_groups_together(load, name):
    samples, group = load(name), KNOWN[name].group
    assert samples.roles[group] == "group"
    split = samples.split(test=0.3, seed=1)
    one, other = (set(samples.select(ids).column(group).compressed().tolist()) for ids in (split.train, split.test))
    assert one and other and not one & other
    assert len(split.train) + len(split.test) == len(samples)


@pytest.mark.real
@pytest.mark.parametrize("name", KNOWN)
def test_a_cut_or_altered_file_is_named(load, mirror, name, tmp_path):
    load(name)
    entry = MIRRORED[name]
    folder = tmp_path / entry.folder
    folder.mkdir()
    for file in entry.files:
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copyfile(mirror / entry.folder / file, folder / file)
    for file in entry.files:
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        for verify in (True, False):
            with pytest.raises(SampleSetError, match=rf"{file.split('/')[-1]}.*[Cc]opy it again"):
                af.load_samples(name, mirror=tmp_path, verify=verify)
        (folder / file).unlink()
        with pytest.raises(SampleSetError, match=rf"{file.split('/')[-1]} is missing"):
            af.load_samples(name, mirror=tmp_path, verify=False)
        (folder / file).write_bytes(whole)
