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
    "eros1-variables": Known(
        3641, {"light_curve": 3641, "table": 3641}, {"label": {"rr_lyrae": 2231, "cepheid": 736, "binary": 439, "mira": 235}},
        None, ("div_period", "quality", "ra", "dec", "ramp"), ("div_period", "one distance"),
    ),
    "tess-transits": Known(
        5171, {"global_view": 5171, "half_phase": 5171, "local_view": 5171, "table": 5171},
        {"is_planet": {True: 461, False: 4710}, "disposition": {"J": 3186, "EB": 538, "V": 507, "IS": 389, "PC": 336, "KP": 105, "FP": 84, "CP": 20, "FA": 5, "O": 1}},
        "tic_id", ("tic", "source", "split", "disp", "Period", "T0", "snr", "sde"), ("leaks", "source tells the label", "normalised by the authors"),
    ),
    "frb-morphology": Known(
        535, {"table": 535}, {"actual_type": {"I": 163, "II": 270, "III": 62, "IV": 20, "V": 20}}, None, ("pred", "voted", "actual"), ("cannot be joined", "49.5%"),
    ),
    "chime-frbs": Known(
        600, {"table": 600}, {"is_repeater": {True: 94, False: 506}}, "group", ("ra", "dec", "gl", "gb", "exp", "mjd", "time", "repeater", "sub_num"), ("repeater",),
    ),
    "koi": Known(
        9564, {"table": 9564}, {"koi_disposition": {"CONFIRMED": 2358, "CANDIDATE": 2366, "FALSE POSITIVE": 4840}},
        "kepid", ("koi_score", "koi_fpflag", "koi_pdisposition", "kepler_name", "koi_time", "koi_tce", "ra", "dec"), ("koi_score", "kepid"),
    ),
    "jwst-photoz": Known(5667, {"table": 5667}, {}, "group", ("ra", "dec", "x", "y", "ID", "zspec"), ("From position alone",)),
    "sharp-flares": Known(
        8874, {"table": 8874}, {"is_flaring": {True: 381, False: 8493}}, "NOAA_AR", ("NOAA", "T_REC", "time", "Lat", "Long", "QUALITY", "Flare"), ("NOAA_AR", "4.3%"),
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


# ---- what is particular to one set ----------------------------------------------------------------------------------


@pytest.mark.real
def test_published_splits_say_what_leaks(load):
    split = load("tess-transits").split(by="published")
    assert (len(split.train), len(split.test), len(split.validation)) == (4133, 522, 516)
    assert "352 of 522 test samples share their 'tic_id'" in split.note
    clean = load("eros1-variables").split(by="published")
    assert (len(clean.train), len(clean.test), clean.note) == (2912, 729, "")


@pytest.mark.real
def test_magnitudes_come_back(load, mirror):
    with np.load(mirror / "crts_variables" / "crts_labelled_lightcurves.npz") as raw:
        magnitude, offset, days = raw["mag_millimag"] / 1e3, raw["offset"], raw["t_1e5day_since_mjd53000"] / 1e5
    curves = load("crts-variables").arrays("light_curve")
    np.testing.assert_array_equal(curves["offsets"], offset)
    np.testing.assert_allclose(23.9 - 2.5 * np.log10(curves["flux"].astype(float)), magnitude, atol=2e-4)
    np.testing.assert_allclose(curves["time"], 53000 + days, atol=1e-9)
    assert curves["mask"].all()


@pytest.mark.real
def test_one_star_in_two_fields_is_one_group(load):
    samples = load("crts-variables")
    pair = samples.select(["1123083007589", "1123084008864"])
    assert len(set(pair.column("group"))) == 1 and len(np.unique(samples.column("group"))) == 4652 - 4


@pytest.mark.real
def test_the_voting_rule_is_the_published_prediction(load):
    samples = load("frb-morphology")
    voted, told, human = (samples.column(c) for c in ("voted_type", "predict_type", "actual_type"))
    assert (voted == told).all() and int((voted == human).sum()) == 265


@pytest.mark.real
def test_views_are_the_ones_the_network_saw(load, mirror):
    samples = load("tess-transits")
    with np.load(mirror / "tess_transits" / "nigraha_labelled_views.npz") as raw:
        half, centred = raw["half_phase_view"][::500], raw["global_view"][::500]
    got = samples.arrays("half_phase", np.arange(0, len(samples), 500))["values"]
    np.testing.assert_array_equal(got.reshape(len(got), 162), half)
    np.testing.assert_array_equal(samples.arrays("global_view", np.arange(0, len(samples), 500))["values"][:, 0], centred)
    # the transit is in the middle of what is called primary: the deepest point of a clear one
    planets = np.flatnonzero(samples.column("is_planet").data)
    assert np.median(np.abs(samples.arrays("local_view", planets)["values"][:, 0].argmin(1) - 40)) < 10


@pytest.mark.real
def test_spectra_are_where_the_file_says(load, mirror):
    import pyarrow.parquet as pq

    raw = pq.read_table(mirror / "supernovae" / "sn_spectra.parquet", columns=["wave", "flux", "event_id"])
    got = load("supernova-spectra").arrays("spectrum", [7, 4000])
    for i, row in enumerate((7, 4000)):
        wave, flux = (np.asarray(raw.column(c)[row].as_py()) for c in ("wave", "flux"))
        np.testing.assert_allclose(got["lambda"][got["mask"][i]], wave[np.isfinite(flux)])
        np.testing.assert_allclose(got["flux"][i][got["mask"][i]], flux[np.isfinite(flux)], rtol=1e-6)
