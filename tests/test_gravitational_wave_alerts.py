"""The simulator of gravitational-wave alerts: detectors, response and population by published numbers, maps by their own truth."""

import numpy as np
import pytest
from astropy import units as u
from astropy_healpix import HEALPix

from astrofuse_lab import credible_regions, surveys
from astrofuse_lab.errors import InputError
from astrofuse_lab.surveys.simulators import gravitational_wave_alerts as gw
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets

VERTICES = [(-2161414.92636, -3834695.17889, 4600350.22664), (-74276.0447238, -5496283.71971, 3224257.01744), (4546374.0990, 842989.697626, 4378576.96241)]
"""Of H1, L1 and V1 in metres: LIGO-T980044-10, VIR-085A-02."""


def drawn(kind, n=12, run="O3", start=0):
    return [gw.TABLE.draw(gw.TABLE.rng(f"{kind}{start + i}", 3), {"run": run, "kind": kind, "seed": 3}) for i in range(n)]


def test_detectors_stand_where_they_do():
    there = gw.network("O4")
    assert np.allclose(there.places * gw.LIGHT, VERTICES, atol=0.01)
    travel = np.linalg.norm(there.places[0] - there.places[1])
    assert travel == pytest.approx(0.010, abs=1e-4)  # Hanford to Livingston, 10 ms
    for tensor in there.tensors:
        assert np.trace(tensor) == pytest.approx(0, abs=1e-12) and np.linalg.eigvalsh(tensor) == pytest.approx([-0.5, 0, 0.5])


def test_response_to_overhead_source_and_over_all_directions():
    """Overhead |F+ + i Fx| is 1; over the sky F+^2 + Fx^2 is 2/5 on average; the mean of the cube of the response over all orientations is 2.2648^-3 (Finn & Chernoff 1993)."""
    there = gw.network("O3")
    up = there.places / np.linalg.norm(there.places, axis=1, keepdims=True)
    assert [abs(gw.patterns(up[i], there.tensors)[i]) for i in range(3)] == pytest.approx([1, 1, 1], abs=1e-4)
    patterns = gw.patterns(gw.cells(), there.tensors)
    assert (np.abs(patterns) ** 2).mean(axis=0) == pytest.approx(0.4, rel=1e-3)
    rng = np.random.default_rng(0)
    cosine, psi = rng.uniform(-1, 1, (40, gw.CELLS)), rng.uniform(0, np.pi, (40, gw.CELLS))
    assert np.mean(np.abs(gw.response(patterns[:, 0], cosine, psi)) ** 3) == pytest.approx(gw.REACH**-3, rel=0.01)


def test_sums_over_orientations_are_those_of_literal_responses():
    rng = np.random.default_rng(1)
    f, z = (rng.normal(size=3) + 1j * rng.normal(size=3) for _ in range(2))
    squares, products, weight = gw._orientations()
    x, _ = np.polynomial.legendre.leggauss(10)
    literal = np.array([gw.response(f, c, psi) for c in x for psi in (np.arange(8) + 0.5) * np.pi / 16])
    assert np.array([(f.real**2).sum(), (f.real * f.imag).sum(), (f.imag**2).sum()]) @ squares == pytest.approx((np.abs(literal) ** 2).sum(axis=1))
    assert np.abs(np.array([(f.real * z).sum(), (f.imag * z).sum()]) @ products) == pytest.approx(np.abs((literal.conj() * z).sum(axis=1)))
    assert weight.sum() == pytest.approx(1)


def test_reach_grows_as_chirp_mass_while_signals_end_beyond_the_band():
    reach, width = gw.reach_of(np.array([1.4, 1.0, 30.0, 300.0]), np.array([1.4, 1.0, 30.0, 300.0]))
    assert reach[0] == 1 and reach[1] == pytest.approx((1 / 1.4) ** (5 / 6), rel=0.02) and 5 < reach[2] < (30 / 1.4) ** (5 / 6)
    assert width[0] / (2 * np.pi) == pytest.approx(120, abs=40) and width[2] < width[0]  # about 100 Hz for neutron stars (Fairhurst 2009, NJP 11, 123006)


def test_draws_are_alerts():
    for kind in gw.KINDS:
        for one in drawn(kind, 6):
            assert one["prob"].shape == (gw.CELLS,) and one["prob"].sum() == pytest.approx(1) and (one["prob"] >= 0).all()
            there = credible_regions.known(one["distmu"], one["distsigma"], one["distnorm"])
            assert (there == (one["prob"] > 0)).all() and np.isinf(one["distmu"][~there]).all()
            assert one["detectors"].sum() >= 2 and (one["snr"][~one["detectors"]] == 0).all() and np.hypot.reduce(one["snr"]) > gw.NETWORK
            assert 0 < one["area90"] < credible_regions.SKY and 0 < one["vol90"] < np.inf and 0 < one["diststd"] < one["distmean"]
            assert one["kind"] == kind and np.isfinite([one["logbsn"], one["logbci"]]).all()
            m1, m2 = one["mass1"], one["mass2"]
            assert {"Glitch": np.isnan(m1), "BBH": m1 >= m2 >= 3, "NSBH": m1 >= 3 > m2, "BNS": 3 > m1 >= m2 >= 1}[kind]


def test_maps_hold_the_truth_and_glitches_are_incoherent():
    """Of 60 mergers the 90 % area holds 47 or more (binomial, one in 1000 below) and distances are unbiased; coherence tells mergers from glitches."""
    grid = HEALPix(nside=gw.NSIDE, order="nested")
    merged = [one for kind in gw.KINDS[1:] for one in drawn(kind, 20)]
    cells = [int(grid.lonlat_to_healpix(one["ra"] * u.deg, one["dec"] * u.deg)) for one in merged]
    level = np.array([one["prob"][one["prob"] > one["prob"][c]].sum() if one["prob"][c] > 0 else 1.0 for one, c in zip(merged, cells, strict=True)])
    assert (level < 0.9).sum() >= 47
    pull = np.array([(one["distmean"] - one["distance"]) / one["diststd"] for one in merged])
    assert abs(pull.mean()) < 0.45 and 0.6 < pull.std() < 1.5
    assert np.median([one["logbci"] for one in merged]) - np.median([one["logbci"] for one in drawn("Glitch", 12)]) > 4
    near, far = (np.median([one["distmean"] for one in some]) for some in (merged[40:], merged[:20]))
    assert far > 2 * near  # heavier is seen further


def test_survey_gives_numbers_that_can_be_had_again():
    survey = surveys.get("practice/gw_alerts")
    targets = Targets([Target("a", 0.0, 0.0), Target("b", 0.0, 0.0)])
    first, again = ([row for raw in survey.query(targets, Ask(options={"kind": kind})) for _, row in survey.read(raw)] for kind in ("BNS", "BNS"))
    assert [row.values for row in first] == [row.values for row in again] and first[0].values != first[1].values
    assert first[0].values["classification"] == "BNS" and first[0].values["has_ns"] is True and first[0].provenance.simulated and first[0].units["map_vol90_mpc3"] == "Mpc3"
    assert first[0].roles["mass1"] == "target" and first[0].roles["log_bci"] == "input"
    (glitch,) = (row for raw in survey.query(targets[:1], Ask(options={"kind": "Glitch"})) for _, row in survey.read(raw))
    assert glitch.values["mass1"] is None and glitch.values["has_mass_gap"] is None and glitch.values["log_bci"] is not None
    with pytest.raises(InputError, match="kind of any, Glitch"):
        list(survey.query(targets, Ask(options={"kind": "BNSS"})))
