"""The generic services against a real Virtual Observatory server: what DaCHS publishes comes back as it was published, in other layouts and units too."""

import dataclasses
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dachs
import numpy as np
import published
import pytest
from numpy.testing import assert_allclose

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys.survey import Ask
from astrofuse_lab.targets import Target, Targets

OBJECTS = 200 if os.environ.get("ASTROFUSE_PROVE") else 16
pytestmark = [pytest.mark.archive, pytest.mark.slow]
NOWHERE = Target("nothing there", 200.0, 45.0)


@pytest.fixture(scope="module")
def sky():
    return published.practice(OBJECTS)


@pytest.fixture(scope="module")
def server(sky):
    reason = dachs.why_not()
    if reason:
        pytest.skip(reason)
    with dachs.Dachs() as running:
        folder = running.inputs / "practice"
        folder.mkdir()
        published.write(folder, *sky)
        running.publish("//products", "//tap", "//obscore", "practice/q")
        running.serve()
        yield running


def both(sky, survey, kind, **wanted):
    """What was published and what came back, of the objects that have it."""
    targets, original = sky
    got = af.fetch(Targets([*targets, NOWHERE]), [survey], progress=False, **wanted)
    states = {row["object_id"]: (row["state"], row["message"]) for row in got.status}
    assert not [s for s in states.values() if s[0] not in ("found", "empty")], states
    assert states[NOWHERE.object_id][0] == "empty"
    pairs = []
    for target in targets:
        was = original.get(f"practice/{kind}", target.object_id)
        assert (was is not None) == (states[target.object_id][0] == "found"), target.object_id
        if was is not None:
            pairs.append((target, was, got.get(survey.name, target.object_id)))
    assert len(pairs) > len(targets) / 2
    return pairs


# tables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uploads", [None, False])
def test_rows_by_tap(server, sky, uploads):
    survey = af.surveys.tap(f"{server.url}/tap", table="practice.main", uploads=uploads)
    for target, was, row in both(sky, survey, "table"):
        assert row.values["object_id"] == target.object_id and row.values["match_count"] == 1 and row.values["match_distance"] < 1e-3
        assert {k: row.values["field_group" if k == "group" else k] for k in was.values} == dict(was.values)
        assert row.units["mag_g"] == "mag" and row.units["half_light_radius"] == "arcsec"
        assert row.roles["object_id"] == "id" and row.roles["redshift"] == "target" and row.roles["ra"] == row.roles["label"] == "other" and "mag_g" not in row.roles
    assert survey.layout()["uploads"] is (uploads is None)


def test_rows_by_tap_as_a_job(server, sky):
    survey = af.surveys.tap(f"{server.url}/tap", table="practice.main", asynchronous=True)
    for target, was, row in both(sky, survey, "table"):
        assert row.values["object_id"] == target.object_id and {k: row.values["field_group" if k == "group" else k] for k in was.values} == dict(was.values)
    with pytest.raises(ArchiveError, match="nosuch"):
        survey._table(survey.layout()).run("SELECT nosuch FROM practice.main")


def test_rows_by_cone_search(server, sky):
    survey = af.surveys.cone(f"{server.url}/practice/q/cone/scs.xml", columns={"g": "mag_g", "who": "object_id"})
    for target, was, row in both(sky, survey, "table"):
        assert row.values["g"] == was.values["mag_g"] and row.values["who"] == target.object_id and row.roles["who"] == "id"


def test_right_ascension_in_hours_and_millijansky(server, sky):
    survey = af.surveys.tap(f"{server.url}/tap", table="practice.hours")
    for target, was, row in both(sky, survey, "table"):
        assert row.values["name"] == target.object_id and row.units["f_g"] == "mJy"
        flux = row.values["f_g"]
        assert (None if flux is None else -2.5 * np.log10(flux / 3631e3)) == (None if was.values["mag_g"] is None else pytest.approx(was.values["mag_g"]))


def test_an_answer_that_the_server_cuts_is_asked_for_in_parts(server, sky):
    """MAXREC below the rows that match: DaCHS says OVERFLOW, and nothing is lost."""
    targets, _ = sky
    whole = af.surveys.tap(f"{server.url}/tap", table="practice.photometry", gives="light_curve")
    rows = {t.object_id: c for t, _, c in both(sky, whole, "light_curve")}
    small = dataclasses.replace(whole, maxrec=max(len(c.time) for c in rows.values()) + 2)
    targets = targets[:24]
    raws = list(small.query(targets, Ask(radius=3.0)))
    assert len(raws) > len(targets) / 3
    again = dict(p for raw in raws for p in small.read(raw))
    assert set(again) == set(rows) & set(targets.ids) and all(np.array_equal(again[i].flux, rows[i].flux) for i in again)
    tiny = dataclasses.replace(whole, maxrec=5)
    with pytest.raises(af.errors.ArchiveError, match="OVERFLOW"):
        list(tiny.query(targets, Ask(radius=3.0)))


def test_objects_in_a_region_of_any_table(server, sky):
    targets, _ = sky
    survey = af.surveys.tap(f"{server.url}/tap", table="practice.main", id_column="object_id")
    found = survey.objects_in(targets[0].ra, targets[0].dec, 0.2, 100)
    assert {t.object_id for t in targets[:4]} <= set(found.ids)


def test_the_servers_own_words(server, sky):
    targets, _ = sky
    found = af.fetch(targets[:2], [af.surveys.tap(f"{server.url}/tap", table="practice.nothing")], progress=False)
    assert set(found.status["state"]) == {"failed"} and "practice.nothing" in found.status["message"][0]
    found = af.fetch(targets[:2], [af.surveys.tap(f"{server.url}/tap", table="practice.main", where="c.nosuch > 3")], progress=False)
    assert "nosuch" in found.status["message"][0]


# light curves --------------------------------------------------------------------------------------


def test_photometry_by_tap(server, sky):
    for _, was, curve in both(sky, af.surveys.tap(f"{server.url}/tap", table="practice.photometry", gives="light_curve", columns={
        "time": "mjd", "flux": "flux", "flux_err": "flux_err", "band": "band", "good": "good"}), "light_curve"):  # fmt: skip
        order = np.argsort(was.time, kind="stable")
        assert_allclose(curve.time, was.time[order], atol=1e-9)
        assert_allclose(curve.flux, was.flux[order], rtol=1e-6)
        assert_allclose(curve.flux_err, was.flux_err[order], rtol=1e-6)
        assert set(curve.band) == set(was.band) and curve.unit == "uJy" and np.array_equal(np.sort(curve.mask), np.sort(was.mask))


def positive(curve):
    keep = curve.mask & (curve.flux > 0)
    return np.sort(curve.time[keep]), np.sort(curve.flux[keep].astype(float)), np.sort(curve.flux_err[keep].astype(float))


def same_curve(was, curve, unit="uJy"):
    time, flux, error = positive(was)
    assert_allclose(curve.time, time, atol=1e-6)
    assert_allclose(np.sort(curve.flux), flux, rtol=2e-6)
    assert_allclose(np.sort(curve.flux_err), error, rtol=2e-6)
    assert curve.unit == unit and curve.mask.all()


def test_magnitudes_and_julian_days_in_columns_without_descriptions(server, sky):
    survey = af.surveys.tap(f"{server.url}/tap", table="practice.magnitudes", gives="light_curve", ra="alpha", dec="delta",
                            columns={"time": "jd", "mag": "mag", "mag_err": "emag", "band": "filtername"})  # fmt: skip
    for _, was, curve in both(sky, survey, "light_curve"):
        same_curve(was, curve)
        assert set(curve.band) == set(was.band[was.mask & (was.flux > 0)])


def test_light_curves_behind_datalink(server, sky):
    """JD and magnitudes, days since a TIMESYS origin and mJy, and CSV, which has no units: said with columns=, or left relative."""
    service = f"{server.url}/practice/q/series/ssap.xml"
    layout = {name: i % 3 for i, name in enumerate(sky[0].ids)}
    for survey in (af.surveys.ssa(service, gives="light_curve"), af.surveys.obscore(f"{server.url}/tap", gives="light_curve")):
        for target, was, curve in both(sky, survey, "light_curve"):
            same_curve(was, curve, "relative" if layout[target.object_id] == 2 else "uJy")
    targets = Targets(t for t in sky[0] if layout[t.object_id] == 2)
    survey = af.surveys.ssa(service, gives="light_curve", columns={"time": "obs_time", "flux": ("flux", "uJy"), "flux_err": ("flux_error", "uJy"), "band": "band"})
    for _, was, curve in both((targets, sky[1]), survey, "light_curve"):
        same_curve(was, curve)


# spectra -------------------------------------------------------------------------------------------


def test_spectra_in_seven_layouts(server, sky):
    for survey in (af.surveys.ssa(f"{server.url}/practice/q/ssa/ssap.xml"), af.surveys.obscore(f"{server.url}/tap", gives="spectrum")):
        for _, was, spectrum in both(sky, survey, "spectrum"):
            assert_allclose(spectrum.wavelength, was.wavelength, rtol=1e-8)
            good = was.mask & (was.ivar > 0)
            assert_allclose(spectrum.flux[good], was.flux[good], rtol=2e-6, atol=1e-6)
            assert_allclose(spectrum.ivar[good], was.ivar[good], rtol=1e-4)
            assert np.array_equal(spectrum.mask, good) and spectrum.unit == was.unit
            assert spectrum.provenance.survey == survey.name


# images --------------------------------------------------------------------------------------------


def at_same_places(was, image):
    """Pixels of both at the same places of the sky."""
    from astropy.wcs import WCS

    y, x = np.mgrid[: was.flux.shape[1], : was.flux.shape[2]]
    there = np.array(WCS(image.wcs).world_to_pixel_values(*WCS(was.wcs).pixel_to_world_values(x, y)))
    assert_allclose(there, np.round(there), atol=1e-3)
    column, row = np.round(there).astype(int)
    return (row >= 0) & (row < image.flux.shape[1]) & (column >= 0) & (column < image.flux.shape[2]), row, column


def test_images(server, sky):
    """Four units, a file a band; half of them behind DataLink, cut by the server."""
    sized = 60 * 0.262
    for survey in (af.surveys.sia2(f"{server.url}/__system__/siap2/sitewide/siap2.xml"), af.surveys.obscore(f"{server.url}/tap", gives="image"),
                   af.surveys.sia2(f"{server.url}/__system__/siap2/sitewide/siap2.xml", bands={"r": 6300, "z": 9200})):  # fmt: skip
        for _, was, image in both(sky, survey, "image", size=sized):
            assert image.bands == tuple(b for b in was.bands if b in (survey.bands or was.bands)) and image.unit == "uJy"
            assert image.flux.shape[1:] == (60, 60) and image.scale == pytest.approx(was.scale, rel=1e-6) and image.time >= 59000
            inside, row, column = at_same_places(was, image)
            assert inside.sum() >= 59 * 59
            for plane, band in enumerate(image.bands):
                own = was.bands.index(band)
                there, mask = image.flux[plane, row[inside], column[inside]], image.mask[plane, row[inside], column[inside]]
                assert_allclose(there[mask], was.flux[own][inside][mask], rtol=2e-6, atol=1e-7)
                assert np.array_equal(mask, was.mask[own][inside] & (was.ivar[own][inside] > 0) if image.ivar is not None else was.mask[own][inside])


def alive(pid: str) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# the server itself ---------------------------------------------------------------------------------


@pytest.mark.skipif(not os.environ.get("ASTROFUSE_PROVE"), reason="ends processes by the kernel's hand: in full counts alone (ASTROFUSE_PROVE=1)")
def test_a_server_ends_with_the_tests():
    """Also when they are killed: neither the database nor DaCHS stays."""
    reason = dachs.why_not()
    if reason:
        pytest.skip(reason)
    code = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {os.path.dirname(dachs.__file__)!r})
        import dachs
        running = dachs.Dachs()
        (running.root / "gavo").mkdir()
        running.own(running.root)
        running.start_database()
        running.start("/bin/sleep", "600")  # in the place of DaCHS, which takes half a minute to set up
        print(*(p.pid for p in running.running), running.root, flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    *pids, root = process.stdout.readline().split()
    end = time.monotonic() + 120  # the machine may be busy
    assert len(pids) == 2 and all(alive(pid) for pid in pids)
    process.kill()
    process.wait()
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in pids)
    subprocess.run(["rm", "-rf", root], check=True)
