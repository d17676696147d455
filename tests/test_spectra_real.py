"""Real spectra brought to rest line up: supernovae at Si II and H-alpha, galaxies and stars at H-alpha; the sky's lines are where the noise is."""

import numpy as np
import pyarrow.parquet as pq
import pytest

import astrofuse_lab as af
from astrofuse_lab.alignment import continuum, sky_lines, spectrum_cleaning
from astrofuse_lab.alignment.spectrum_cleaning import scatter
from astrofuse_lab.modalities import Spectrum, TableRow

pytestmark = pytest.mark.real
LIGHT = 299_792.458  # km/s


class Made:
    """Products at hand, as if fetched."""

    surveys = ("mine/spectrum", "mine/table")

    def __init__(self, products, redshift):
        self.held, self.redshift = products, redshift
        self.targets = af.Targets.from_table({"id": list(products), "ra": np.zeros(len(products)), "dec": np.zeros(len(products))})

    def get(self, survey, object_id):
        return TableRow({"z": self.redshift[object_id]}) if survey.endswith("table") else self.held[object_id]


def floats(cell):
    return np.array(cell.as_py(), dtype=float)


def supernovae(mirror, types, phases, around, best):
    """One spectrum an event that covers the line, the nearest to phase `best` (days)."""
    events = {e["event_id"]: e for e in pq.read_table(mirror / "supernovae/sn_events.parquet", columns=["event_id", "subtype", "z", "label_ambiguous"]).to_pylist()}
    whole = pq.read_table(mirror / "supernovae/sn_spectra.parquet", columns=["event_id", "phase", "wave_min", "wave_max", "snr", "wave", "flux"])
    rows = {}
    for i, one in enumerate(whole.drop_columns(["wave", "flux"]).to_pylist()):
        event, phase = events.get(one["event_id"]), one["phase"]
        if event is None or event["subtype"] not in types or event["label_ambiguous"] or not (event["z"] or 0) > 0 or phase is None or not phases[0] <= phase <= phases[1]:
            continue
        low, high = ((1 + event["z"]) * edge for edge in (around[0] - 100, around[1] + 100))
        if (one["snr"] or 0) > 10 and one["wave_min"] < low and one["wave_max"] > high:
            known = rows.get(one["event_id"])
            if known is None or abs(phase - best) < abs(known[1] - best):
                rows[one["event_id"]] = (i, phase, one["snr"])
    products = {}
    for event, (i, _, snr) in rows.items():
        flux = floats(whole["flux"][i])
        products[event] = Spectrum(floats(whole["wave"][i]), flux, np.full(len(flux), (snr / np.nanmedian(np.abs(flux))) ** 2), np.isfinite(flux), unit="relative")
    return Made(products, {event: events[event]["z"] for event in rows})


def position(wave, flux, mask, low, high, sign, smooth):
    """Where the smoothed flux, over the straight line through both ends of the window, is farthest up (sign 1) or down (-1); NaN at an end."""
    keep = mask & (wave > low) & (wave < high)
    wave, flux = wave[keep], flux[keep]
    if len(wave) < 20:
        return np.nan
    kernel = np.exp(-0.5 * ((wave[:, None] - wave) / smooth) ** 2)
    even = kernel @ flux / kernel.sum(axis=1)
    height = sign * even / np.interp(wave, wave[[0, -1]], [even[:5].mean(), even[-5:].mean()])
    i = int(np.argmax(height))
    if not 3 <= i < len(wave) - 4:
        return np.nan
    a, b, _ = np.polyfit(wave[i - 3 : i + 4] - wave[i], height[i - 3 : i + 4], 2)
    return wave[i] - b / (2 * a) if a < 0 else wave[i]


def positions(samples, edges, sign, smooth, by):
    data = samples.arrays("spectrum")
    return np.array([
        position(data["lambda"], f.astype(float), m, *(edge * k for edge in edges), sign, smooth * k) for f, m, k in zip(data["flux"], data["mask"], by, strict=True)
    ])  # fmt: skip


def before_and_after(found, edges, sign, smooth, grid):
    """Positions of a line in the observed spectra, and brought to rest through `align`; redshifts."""
    before = af.align(found, spectrum=grid, progress=False)
    after = af.align(found, spectrum=grid, steps={"spectrum": ["rest_frame"]}, progress=False)
    assert list(before.object_ids) == list(after.object_ids)
    z = np.asarray(after.column("z"), dtype=float)
    old, new = positions(before, edges, sign, smooth, 1 + z), positions(after, edges, sign, smooth, np.ones(len(z)))
    seen = np.isfinite(old) & np.isfinite(new)
    return old[seen], new[seen], z[seen]


def test_type_ia_supernovae_line_up_at_silicon(mirror):
    found = supernovae(mirror, {"Ia"}, (-5, 5), (5950, 6300), 0)
    old, new, z = before_and_after(found, (5950, 6300), -1, 15.0, af.LinearGrid(3500, 9500, 5.0))
    print(f"Si II 6355 of {len(z)} Ia near peak: {np.median(old):.0f} +- {scatter(old):.0f} Angstrom observed, {np.median(new):.0f} +- {scatter(new):.0f} at rest")
    assert len(z) > 250
    # 11,000 km/s below its rest wavelength at peak, with a spread of about 1,000 km/s from object to object (Wang et al. 2009, ApJ 699, L139)
    assert (6356.8 - np.median(new)) / 6356.8 * LIGHT == pytest.approx(11_000, abs=600)
    assert scatter(new) / 6356.8 * LIGHT < 1_500 and scatter(new) < 0.35 * scatter(old)
    assert np.corrcoef(z, old)[0, 1] > 0.8 and abs(np.corrcoef(z, new)[0, 1]) < 0.3


def test_type_ii_supernovae_line_up_at_h_alpha(mirror):
    found = supernovae(mirror, {"II", "IIP", "IIL"}, (30, 100), (6350, 6800), 60)
    old, new, z = before_and_after(found, (6350, 6800), 1, 15.0, af.LinearGrid(3500, 9500, 5.0))
    print(f"H-alpha of {len(z)} II on the plateau: {np.median(old):.0f} +- {scatter(old):.0f} Angstrom observed, {np.median(new):.0f} +- {scatter(new):.0f} at rest")
    assert len(z) > 50
    # its peak lies up to 3,000 km/s to the blue in this phase (Anderson et al. 2014, MNRAS 441, 671)
    assert -1_500 < (np.median(new) - 6564.6) / 6564.6 * LIGHT < 200
    assert scatter(new) < 0.5 * scatter(old) and np.std(new) < 0.4 * np.std(old)
    assert np.corrcoef(z, old)[0, 1] > 0.8 and abs(np.corrcoef(z, new)[0, 1]) < 0.5


def galaxies(mirror):
    rows = pq.read_table(mirror / "sdss_fixture/sdss10.parquet", columns=["objid", "z", "subclass", "loglam", "flux", "ivar"]).to_pylist()
    made = {r["objid"]: Spectrum(*(np.array(v, dtype=float) for v in (10 ** np.array(r["loglam"]), r["flux"], r["ivar"])), np.array(r["ivar"]) > 0) for r in rows}
    return made, {r["objid"]: r["z"] for r in rows}, [r["objid"] for r in rows if r["subclass"] == "STARFORMING"]


def test_galaxies_line_up_at_h_alpha(mirror):
    products, z, forming = galaxies(mirror)
    found = Made({i: products[i] for i in forming}, z)
    old, new, _ = before_and_after(found, (6550, 6580), 1, 1.5, af.LogGrid(3800, 9200, 1e-4))
    print(f"H-alpha of {len(new)} star-forming galaxies: {np.ptp(old):.0f} Angstrom apart observed, {np.ptp(new):.2f} at rest")
    assert len(new) == 3 and np.ptp(old) > 50
    np.testing.assert_allclose(new, 6564.61, atol=1.5)  # a pixel is 1.5 Angstrom


def test_stars_line_up_at_h_alpha_and_their_continua_are_flat(mirror):
    rows = pq.read_table(mirror / "lamost_sample/lamost_176.parquet").to_pylist()
    early = [r for r in rows if r["label"] in "FG"]  # velocities of A stars, with few lines, are less sure than their H-alpha
    made = {}
    for r in early:
        wave = 10 ** (r["wave0_log10"] + r["dlog10"] * np.arange(r["n_pix"]))
        ivar = np.array(r["ivar"], dtype=float)
        made[r["object_id"]] = Spectrum(wave, np.array(r["flux"], dtype=float), ivar, (ivar > 0) & (np.array(r["andmask"]) == 0), unit="relative")
    old, new, z = before_and_after(Made(made, {r["object_id"]: r["z"] for r in early}), (6540, 6590), -1, 2.0, af.LogGrid(3800, 9000, 1e-4))
    print(f"H-alpha of {len(new)} F and G stars: {np.median(old):.2f} +- {scatter(old):.2f} Angstrom observed, {np.median(new):.2f} +- {scatter(new):.2f} at rest")
    # a pixel is 1.5 Angstrom, and so is what velocities shift the line by
    assert len(new) > 70 and np.median(new) == pytest.approx(6564.61, abs=0.3) and scatter(new) < scatter(old)
    assert np.corrcoef(z, old)[0, 1] > 0.5 and abs(np.corrcoef(z, new)[0, 1]) < 0.2
    flat = []
    for one in list(made.values())[:20]:
        got = continuum.normalised(one.wavelength, one.flux, one.ivar, one.mask, low=1.5)
        inside = got.mask & (one.wavelength > 4400) & (one.wavelength < 8500)
        flat.append([np.percentile(got.flux[inside], 75), np.median(np.abs(got.flux[inside] - 1))])
    level, away = np.median(flat, axis=0)
    assert level == pytest.approx(1, abs=0.03) and away < 0.05


def test_the_lines_of_the_sky_are_where_the_noise_is_and_cosmic_rays_are_few(mirror):
    products, *_ = galaxies(mirror)
    ratio, lost = [], []
    for one in products.values():
        wave, ivar = one.wavelength, np.where(one.mask, one.ivar, np.nan)
        for low, high in sky_lines.regions(["oxygen", "oh"], 2.0):
            if low > wave[0] + 50 and high < min(9150.0, wave[-1] - 50):
                near = (np.abs(wave - (low + high) / 2) < 40) & ~sky_lines.covered(wave, "sky", 4.0)
                inside = (wave > low) & (wave < high)
                if near.sum() > 5 and np.isfinite(ivar[inside]).any():
                    ratio.append(np.nanmedian(ivar[inside]) / np.nanmedian(ivar[near]))
        hit = spectrum_cleaning.cosmic_rays(one.flux, one.ivar, one.mask)
        lost.append(hit.mean())
    assert np.median(ratio) < 0.85 and np.mean(np.array(ratio) < 1) > 0.8
    print(f"ivar on sky lines {np.median(ratio):.2f} of that beside them; {100 * np.mean(lost):.2f} % of pixels taken for cosmic rays")
    assert max(lost) < 0.005  # the pipeline has removed them already
