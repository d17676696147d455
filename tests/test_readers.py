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
    "core-collapse": Known(
        2821, {"g_dmdt": 2518, "r_dmdt": 2326, "spectrum": 2821, "g_curve": 2503, "r_curve": 2312},
        {"hydrogen": {"Hrich": 1709, "Hpoor": 1112}, "layer_2": {"II": 955, "IIb-H": 317, "IIn": 437, "Ib": 389, "Ic": 577, "Ic-BL": 137}},
        "group", ("",), ("partly circular", "'group'", "r is r or R"),
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
    "rubin-alerts": Known(
        174, {"image": 174, "forced_photometry": 86, "light_curve": 174, "table": 174}, {"label": {"SSO": 41, "AGN": 49, "star": 9}, "is_sso": {True: 41, False: 133}},
        "group", ("ss", "d_ss", "o_", "dia", "d_ra", "d_dec", "d_x", "d_y", "d_visit", "d_mid", "d_time", "gaia", "legacy", "src", "n_", "stream", "label", "time"),
        ("o_nDiaSources", "pre-public"),
    ),
    "braai-alerts": Known(
        20, {"image": 20, "table": 20}, {}, "objectId", ("drb", "rb", "jd", "ra", "dec", "candid", "n_prv", "n_fp", "time"), ("each row", "machine scores", "sentinel"),
    ),
    "gw-alerts": Known(
        304, {"image": 23, "table": 304, "text": 254}, {"classification": {"BBH": 283, "NSBH": 12, "BNS": 9}},
        None, ("p_", "has_", "gwskynet2", "class", "alert_class", "sugwg_m", "sugwg_z", "n_gcn", "outcome", "map_p", "gps"), ("selection", "none of them was retracted"),
    ),
    "astroalertbench": Known(
        15, {"table": 15}, {"target_class": {"VS": 3, "SN": 2, "AGN": 4, "bogus": 3, "asteroid": 3}}, None, ("stamp_prob", "firstmjd", "target"),
        ("another network", "Claude Opus 4.7", "60.60%", "8.41%"),
    ),
    "ztf-sources": Known(5449, {"light_curve": 5305}, {}, None, ("",), ("No labels",)),
    "ztf-features": Known(123, {"table": 123}, {}, None, ("ra", "dec"), ("No labels",)),
    "scope-predictions": Known(100, {"table": 100}, {}, None, ("ra", "dec", "field", "ccd", "quad", "filter"), ("not labels",)),
    "lamost-stars": Known(
        176, {"spectrum": 176, "table": 176}, {"label": {"F": 46, "A": 40, "K": 38, "G": 34, "M": 18}}, None, ("ra", "dec", "teff", "logg", "feh", "rv", "z", "snr"), ("circular",),
    ),
    "sdss-galaxies-10": Known(10, {"image": 10, "spectrum": 10, "table": 10}, {"subclass": {"STARFORMING": 3}}, None, ("z", "ra", "dec", "sn_"), ("Measure nothing on it",)),
    "gcn-subjects": Known(
        40506, {"text": 40506},
        {"obs_label": {"Optical Observations": 19637, "High Energy Observations": 17489, "Radio Observations": 1368, "Neutrinos": 1170, "Gravitational Wave": 842}},
        "group", ("",), ("language model",),
    ),
    "gw-superevents": Known(80, {"table": 60}, {"outcome": {"kept": 56, "retracted": 24}}, None, ("labels", "group", "pipeline", "instruments", "t_0", "time"), ("ADVNO",)),
    "gw-sky-maps": Known(
        23, {"distance_layers": 0, "sky_map": 23, "volume": 0, "table": 23}, {"kind": {"BBH": 18, "BNS": 4, "NSBH": 1}}, None,
        ("kind", "origin", "is_", "p_", "gps", "nside"), ("none retracted", "no distance layers", "S190814bv"),
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


@pytest.mark.real
def test_the_published_networks_give_the_published_scores(load, mirror):
    """GWSkyNet-Multi II (Raza et al. 2025): 20 networks of 9, 8, 8 and 4 units on the columns of the set."""
    samples = load("gw-alerts")
    has = samples.present("image") & ~np.ma.getmaskarray(samples.column("map_vol90_mpc3"))
    some = samples.take(has)
    values = {n: some.column(n).data.astype(float) for n in ("map_vol90_mpc3", "map_area90_deg2", "H1", "L1", "V1", "distmean_mpc", "diststd_mpc", "log_bsn", "log_bci")}
    for name in ("map_vol90_mpc3", "map_area90_deg2", "distmean_mpc", "diststd_mpc"):
        values[name] = np.log10(values[name])
    values["log_bsn"] = np.minimum(values["log_bsn"], 100)
    x = np.stack(list(values.values()), axis=1) / np.array([13.864, 4.542, 1, 1, 1, 4.3588, 4.3588, 100, 47.103])
    with np.load(mirror / "gw_alerts" / "gwskynet_multi2_weights.npz") as w:
        hidden = np.maximum(np.einsum("oi,nij->noj", x, w["w0"]) + w["b0"][:, None], 0)
        hidden = np.maximum(np.einsum("noi,nij->noj", hidden, w["w1"]) + w["b1"][:, None], 0)
        logits = np.einsum("noi,nij->noj", hidden, w["w2"]) + w["b2"][:, None]
    scores = 100 * np.exp(logits - logits.max(-1, keepdims=True))
    scores = (scores / (np.exp(logits - logits.max(-1, keepdims=True))).sum(-1, keepdims=True)).mean(0)
    told = np.stack([some.column(f"gwskynet2_{c}").data for c in ("Glitch", "BBH", "NSBH", "BNS")], axis=1)
    assert len(some) == 22 and np.abs(scores - told).max() < 0.2
    assert int((some.column("gwskynet2_class") == some.column("alert_class")).sum()) == 18


@pytest.mark.real
def test_sky_maps_keep_their_probability(load):
    samples = load("gw-alerts")
    density = samples.arrays("image", np.flatnonzero(samples.present("image")))["flux"][:, 0].astype(float)
    area = np.radians(2) ** 2 * np.cos(np.radians(np.arange(90) * 2 - 89))
    total = (density * area[:, None]).sum(axis=(1, 2))
    # the largest of 2 x 2 is more than the mean: most for the smallest maps
    assert (total > 0.98).all() and (total < 1.6).all()


@pytest.mark.real
def test_the_original_network_gives_the_score_of_the_packet(load, mirror):
    """braai d6_m7 on stamps divided by the norm of each row; rows with a sentinel are zero, as the card says."""
    import torch
    from torch.nn import functional as F

    samples = load("braai-alerts")
    arrays = samples.arrays("image")
    stamps = arrays["flux"].astype(np.float64)
    assert samples.column("sentinel_pixels").data[[6, 16]].tolist() == [2149, 1695] and samples.column("sentinel_pixels").sum() == 3844
    for i in (6, 16):
        stamps[i, 1][~arrays["mask"][i, 1].all(axis=1)] = 0
    stamps = stamps.transpose(0, 2, 3, 1)  # as Keras has them: the "last axis" of each stamp is x
    norm = np.sqrt((stamps**2).sum(axis=2, keepdims=True))
    x = torch.from_numpy(stamps / np.where(norm == 0, 1, norm)).permute(0, 3, 1, 2)
    with np.load(mirror / "braai" / "d6_m7.weights.npz") as raw:
        w = {name: torch.from_numpy(raw[name].astype(np.float64)) for name in raw.files}
    for name, pool in (("conv1", 0), ("conv2", 2), ("conv3", 0), ("conv4", 4)):
        x = F.relu(F.conv2d(x, w[f"{name}.kernel"].permute(3, 2, 0, 1), w[f"{name}.bias"]))
        x = F.max_pool2d(x, pool) if pool else x
    x = x.permute(0, 2, 3, 1).flatten(1)
    score = torch.sigmoid(F.relu(x @ w["fc_1.kernel"] + w["fc_1.bias"]) @ w["fc_out.kernel"] + w["fc_out.bias"])[:, 0]
    np.testing.assert_allclose(score.numpy(), samples.column("drb").data, atol=1e-6)


@pytest.mark.real
def test_asteroids_of_rubin_have_no_object(load):
    samples = load("rubin-alerts")
    sso = samples.column("is_sso").data
    assert np.ma.getmaskarray(samples.column("o_nDiaSources"))[sso].all() and (samples.column("diaObjectId").data[sso] == 0).all()
    assert len(set(samples.column("group")[sso])) == 41


@pytest.mark.real
def test_the_leaderboard_is_complete(load, mirror):
    from astrofuse_lab.samples.readers.astroalertbench import leaderboard

    load("astroalertbench")
    runs = leaderboard(mirror / "astroalertbench")
    assert len(runs) == 13 and len(set(runs["model"])) == 8 and list(runs["rank"]) == list(range(1, 14))
    assert (np.diff(runs["acc_5class_pct"]) < 0).all()


@pytest.mark.real
def test_galaxies_show_their_redshift(load):
    """H-alpha stands where the catalogue's redshift puts it, in the star-forming ones."""
    samples = load("sdss-galaxies-10")
    for i in np.flatnonzero(samples.column("subclass").filled("") == "STARFORMING"):
        one = samples[int(i)]
        wave = one["spectrum"].wavelength / (1 + one.columns["z"])
        near = (wave > 6500) & (wave < 6640)
        assert abs(wave[near][one["spectrum"].flux[near].argmax()] - 6564.6) < 4
