"""Targets from pasted lines: what each line says, and which lines are none."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab import naming
from astrofuse_lab.errors import InputError, TargetError, UnknownNameError
from astrofuse_lab.notation import entry
from astrofuse_lab.targets import Target

PLACE = SkyCoord("10h00m24s", "+02d12m00s")


@pytest.mark.parametrize(
    "line",
    [
        "150.1 2.2", "150.1,+2.2", "150.1\t2.2", "150.1;2.2", "150.1 | 2.2", "(150.1, 2.2)", "1.501e2 2.2", "150.1d 2.2d", "150.1 deg, 2.2 deg", "150.1° +2.2°",
        "10:00:24 +02:12:00", "10:00:24.0, 2:12", "10 00 24 +02 12 00", "10 00 24.00, +02 12 00.0", "10h00m24s +02d12m00s", "10h00m24s+02d12m00s", "10h 00m 24s  2° 12' 0\"",
        "10ʰ00ᵐ24ˢ.0 +2°12′00″", "150d06m +2d12m", "ra=150.1 dec=2.2", "RA: 10:00:24 Dec: +02:12:00", "150.1 2.2 # a comment", "10:00:24 +02:12:00 J2000", "icrs 150.1 2.2",
        "150.1\u00a0\u22120 2.2".replace("\u22120 ", ""),
    ],
)  # fmt: skip
def test_notations_of_one_place(line):
    said = entry(line)
    assert said.name == "" and said.frame == "icrs" and said.place == pytest.approx((PLACE.ra.deg, PLACE.dec.deg), abs=1e-9)
    named = entry(f"M 31, {line}" if "," in line or ";" in line or "|" in line else f"M 31 {line}")
    if not line.startswith("icrs"):
        assert named.name == "M 31" and named.place == pytest.approx(said.place)


@pytest.mark.parametrize(("line", "dec"), [("0 -0:30:00", -0.5), ("0:0:0 \u22120:30:00", -0.5), ("00 00 00 -00 30 00", -0.5), ("0h -0d30m", -0.5), ("12 34.5 -00 30.0", -0.5)])
def test_minus_nought_is_south(line, dec):
    assert entry(line).place[1] == pytest.approx(dec)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("SDSS J100024.00+021200.0", ""), ("J100024.00+021200.0", ""), ("2MASS J10002400+0212000", ""),
        ("WISEA J100024.00+021200.0", ""), ("  J1000+0212", "900 arcsec"),
    ],
)  # fmt: skip
def test_designations_hold_their_position(line, name):
    said = entry(line)
    assert said.name == line.strip() and said.place == pytest.approx((150.1, 2.2), abs=0.11) and name in said.remark
    assert bool(said.remark) == bool(name)


@pytest.mark.parametrize(
    "line",
    [
        "M 31", "NGC 4038", "3C 273", "HD 1", "PSR J0437-4715", "PSR B1919+21", "B2 0218+35", "4U 1820-30", "IRAS 13224-3809", "IRAS 13224 -3809", "BD +20 45", "4C +71.07",
        "Barnard's star", "Gaia DR3 4472832130942575872", "SN 1987A", "GW150914", "WISE J104915.57-531906.1 B", "J9912+0000", "ESO 137-006", "Galactic Center", "e Eri", "HIP 87937",
        "practice-00000042", "SDSS", "[HB89] 0218+357",
    ],
)  # fmt: skip
def test_names_stay_names(line):
    assert entry(line) == (line, None, "icrs", "")


def test_quotes_make_a_name_and_a_doubt_is_said():
    said = entry("ESO 137 006")
    assert said.place == (137, 6) and "in quotes" in said.remark
    assert entry('"ESO 137 006"') == ("ESO 137 006", None, "icrs", "")


@pytest.mark.parametrize(
    ("line", "frame", "lon", "lat"),
    [
        ("gal 120.5 -3.2", "galactic", 120.5, -3.2), ("120.5 -3.2 galactic", "galactic", 120.5, -3.2), ("l=120.5 b=-3.2", "galactic", 120.5, -3.2), ("here l=120.5, b=-3.2", "galactic", 120.5, -3.2),
        ("120:30:00 -3:12:00 gal", "galactic", 120.5, -3.2), ("12:00:00 +10:00:00 B1950", "fk4", 180, 10), ("FK5 180 10", "fk5", 180, 10), ("ecl 180 10", "barycentrictrueecliptic", 180, 10),
    ],
)  # fmt: skip
def test_frames_that_are_named(line, frame, lon, lat):
    said = entry(line)
    assert said.frame == frame and said.place == pytest.approx((lon, lat))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("400 20", "RA 400"), ("-10 20", "RA -10"), ("10 95", "Dec 95"), ("10:99:00 +1:2:3", "10:99:00"), ("25:00:00 +1:2:3", "25:00:00"), ("10 20 30", "no position"), ("10", "no position"),
        ("10 20 30 40", "no position"), ("nan nan", "no position"), ("10:00:00", "no position"), ("1 2 3 4 5 6 7", "no position"), ("10h00m24s 91d", "Dec 91"),
    ],
)  # fmt: skip
def test_what_can_only_be_a_position_and_is_none(line, words):
    with pytest.raises(ValueError, match=words):
        entry(line)


@settings(max_examples=150, deadline=None)
@given(st.floats(0, 359.9999), st.floats(-90, 90), st.sampled_from([":", "hmsdms", " "]), st.sampled_from([" ", ", ", "\t"]), st.booleans())
def test_any_position_as_astropy_writes_it_is_read_back(ra, dec, separator, between, named):
    if separator == " " and between == "\t" and named:
        between = " "
    place = SkyCoord(ra * u.deg, dec * u.deg)
    kind = {} if separator == "hmsdms" else {"sep": separator}
    lon = place.ra.to_string(unit=u.hourangle, precision=6, pad=True, **kind)
    lat = place.dec.to_string(unit=u.deg, precision=5, pad=True, alwayssign=True, **kind)
    said = entry(("thing " if named and between == " " else "thing, " if named else "") + lon + between + lat)
    assert said.name == ("thing" if named else "")
    assert SkyCoord(*said.place, unit="deg").separation(place).arcsec < 1e-3


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_no_line_is_a_crash(line):
    try:
        said = entry(line)
    except ValueError as error:
        assert len(str(error)) < 400
    else:
        assert said is None or said.name or said.place


# lists ---------------------------------------------------------------------------------------------


def test_lines_become_targets_in_their_order():
    targets = af.Targets.from_text("# mine\npractice-00000042\n10 20\n\nM31 00:42:44.3 +41:16:09  # a galaxy\nl=10 b=20\nb1950 12:00:00 +10:00:00", time=(1.0, 2.0))
    assert targets.ids == ("practice-00000042", "target-00002", "M31", "target-00005", "target-00006") and not targets.notes
    truth = SkyCoord([10, 180], [20, 10], unit="deg", frame="galactic")[0].icrs
    assert (targets[3].ra, targets[3].dec) == pytest.approx((truth.ra.deg, truth.dec.deg))
    fourth = SkyCoord(180, 10, unit="deg", frame="fk4").icrs
    assert (targets[4].ra, targets[4].dec) == pytest.approx((fourth.ra.deg, fourth.dec.deg))
    assert {t.time for t in targets} == {(1.0, 2.0)}


def test_the_frame_of_all_lines():
    targets = af.Targets.from_text("10 20\nicrs 30 40", frame="galactic")
    assert targets.ra[0] == pytest.approx(SkyCoord(10, 20, unit="deg", frame="galactic").icrs.ra.deg) and targets[1].ra == 30
    with pytest.raises(UnknownNameError, match="frame"):
        af.Targets.from_text("10 20", frame="horizontal")


LINES = "a 10 20\nb 400 1\na 10 20\n10.00001 20\nJ1234+5678\nJ1234+5612\na 11 20"


def test_bad_lines_repeats_and_neighbours_by_their_number(monkeypatch):
    monkeypatch.setattr(naming, "_sesame", lambda name: "#! nothing")
    targets = af.Targets.from_text(LINES + "\nxyzzy", errors="skip")
    assert targets.ids == ("a", "target-00003", "J1234+5612")
    words = "\n".join(targets.notes)
    for part in (
        "line 2: 'b' (not known", "line 3: 'a' repeats line 1", "line 4: 'target-00003' lies 0.034 arcsec from 'a' (line 1); both kept",
        "line 5: 'J1234+5678' (not known", "line 6: 'J1234+5612': the designation", "line 7: the id 'a' was already given in line 1", "line 8: 'xyzzy'",
    ):  # fmt: skip
        assert part.replace("'b' (not known", "'b 400 1' (not known") in words, (part, words)
    with pytest.raises(TargetError, match=r"3 of 8 lines.*line 2.*line 5.*line 8"):
        af.Targets.from_text(LINES + "\nxyzzy")


def test_names_and_positions_are_mixed_and_each_name_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr(naming, "_resolve", lambda name: asked.append(name) or Target(name, 1.0, 2.0, 2000.0))
    targets = af.Targets.from_text("M  31\n10 20\nM 31", near=0)
    assert asked == ["M 31"] and targets.ids == ("M 31", "target-00001") and "line 3: 'M 31' repeats line 1" in targets.notes[0]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing"])
def test_no_lines_are_said(text):
    with pytest.raises(TargetError, match="one a line"):
        af.Targets.from_text(text)
    with pytest.raises(InputError, match="errors="):
        af.Targets.from_text("1 2", errors="ignore")


def test_many_lines():
    rng = np.random.default_rng(1)
    place = SkyCoord(rng.uniform(0, 360, 3000), rng.uniform(-90, 90, 3000), unit="deg")
    targets = af.Targets.from_text("\n".join(place.to_string("hmsdms", precision=6)), near=0)
    assert len(targets) == 3000 and SkyCoord(targets.ra, targets.dec, unit="deg").separation(place).arcsec.max() < 1e-3
