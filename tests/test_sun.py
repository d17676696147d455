"""Images and X-rays of the Sun: the real files that sunpy ships for its own tests, and queries over HTTP on loopback or a stand-in for sunpy's client."""

import io
import sys
import types
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest
from answering import Answering
from astropy.io import fits
from astropy.time import Time

from astrofuse_lab.errors import ArchiveError, InputError, MissingExtraError, TargetError
from astrofuse_lab.surveys import goes, sun
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Targets

DATA = Path(find_spec("sunpy").origin).parent / "data" / "test" if find_spec("sunpy") else Path("no sunpy")
recorded = pytest.mark.skipif(not (DATA / "aia_171_level1.fits").is_file(), reason="sunpy is not installed, or without its test data")


@pytest.fixture
def server():
    made = Answering()
    yield made
    made.close()


def read(survey, content, bands=("171",), **extra):
    given = {"bands": list(bands), "lengths": [len(content)], **extra}
    return dict(survey.read(Raw(survey.name, ("t",), content, "", extra=given))).get("t")


def times(start, stop):
    return Targets.from_times({"t": (Time(start).mjd, Time(stop).mjd)})


# images --------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize(
    ("name", "file", "when", "scale", "unit"),
    [
        ("sdo/aia", "aia_171_level1.fits", "2011-02-15T00:00:00.34", 19.183648, "DN"), ("sdo/hmi", "resampled_hmi.fits", "2014-03-01T00:00:27.90", 20.65575936, "DN/s"),
        ("soho/eit", "EIT/efz20040301.000010_s.fits", "2004-03-01T00:00:10.515", 2.63, "counts / pixel"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Invalid 'BLANK'")
def test_images_of_the_sun_recorded_answer(name, file, when, scale, unit):
    content = (DATA / file).read_bytes()
    image = read(sun.ROWS[name], content)
    with fits.open(io.BytesIO(content)) as units:
        assert np.allclose(image.flux[0], np.where(np.isfinite(units[0].data), units[0].data, 0), rtol=1e-6)
    assert image.wcs["CTYPE1"] == "HPLN-TAN" and image.wcs["CTYPE2"] == "HPLT-TAN" and image.wcs["CUNIT1"] == "arcsec"
    assert image.time == pytest.approx(Time(when).mjd, abs=1e-8) and image.scale == pytest.approx(scale) and image.unit == unit and image.mask.any()
    if name != "soho/eit":
        assert image.wcs["DSUN_OBS"] == pytest.approx(1.48e11, rel=0.01)


def disk(side=8, compressed=False, **keys):
    header = fits.Header({"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": 2.4, "CDELT2": 2.4, "CRPIX1": 4.5, "CRPIX2": 4.5,
                          "CRVAL1": 0.0, "CRVAL2": 0.0, "T_OBS": "2014-01-01T00:00:11.57Z", **keys})  # fmt: skip
    data = np.arange(side * side, dtype=np.int16).reshape(side, side)
    file = io.BytesIO()
    units = [fits.PrimaryHDU(), fits.CompImageHDU(data, header)] if compressed else [fits.PrimaryHDU(data, header)]
    fits.HDUList(units).writeto(file)
    return file.getvalue()


def test_the_nearest_images_of_all_bands_in_one(server):
    server.routes["/2014/01/01/H0000/AIA20140101_0004_0171.fits"] = disk(compressed=True)
    server.routes["/2014/01/01/H0000/AIA20140101_0004_4500.fits"] = disk()
    aia = replace(sun.ROWS["sdo/aia"], url=server.url, timeout=5.0)
    (raw,) = aia.query(times("2014-01-01T00:03:00", "2014-01-01T00:06:00"), Ask(bands=("171", "94", "4500")))
    assert server.paths() == [f"/2014/01/01/H0000/AIA20140101_0004_{b}.fits" for b in ("0171", "0094", "4500")]
    image = dict(aia.read(raw))["t"]
    assert image.bands == ("171", "94", "4500") and image.mask[:, 0, 0].tolist() == [True, False, True] and image.flux[0, 0, 3] == 3
    assert image.time == pytest.approx(Time("2014-01-01T00:00:11.57").mjd, abs=1e-8)
    (raw,) = aia.query(times("2015-01-01T00:03:00", "2015-01-01T00:06:00"), Ask(bands=("171",)))
    assert raw.content == b"" and list(aia.read(raw)) == []
    with pytest.raises(TargetError, match="MJD 10 "):
        list(aia.query(Targets.from_times({"t": (9.0, 11.0)}), Ask()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (disk(CTYPE1="RA---TAN", CTYPE2="DEC--TAN"), "not helioprojective"), (disk()[:2880], "bytes"), (disk(side=8).replace(b"NAXIS1  =                    8", b"NAXIS1  =                 8888"), "bytes"),
        (disk(CUNIT1="furlong"), "furlong"), (disk(CDELT1="wide"), "wide"),
    ],
)  # fmt: skip
def test_images_that_are_none_of_the_sun_are_refused(content, words):
    with pytest.raises(ArchiveError, match=rf"sdo/aia, target t: .*{words}"):
        read(sun.ROWS["sdo/aia"], content)


@pytest.mark.parametrize(
    ("text", "iso"),
    [("2014.03.01_00:01:25_TAI", "2014-03-01T00:00:50"), ("01-MAR-2004 00:00:10.5", "2004-03-01T00:00:10.5"), ("15-JAN-96", "1996-01-15"), ("2011-02-15T00:00:01Z", "2011-02-15T00:00:01")],
)  # fmt: skip
def test_dates_as_solar_archives_write_them(text, iso):
    assert sun.mjd(text) == pytest.approx(Time(iso).mjd, abs=1e-9)
    assert sun.mjd("soon") is None and sun.mjd("2011-13-45T99:00:00") is None


class Fido:
    """What sunpy's client does, as far as it is used: `search` gives tables of files, `fetch` writes them."""

    def __init__(self, files):
        self.files, self.searched = files, []

    def search(self, *wanted):
        self.searched.append(wanted)
        return Found(self.files)

    def fetch(self, found, path, progress, max_conn):
        place = Path(path.replace("{file}", "image.fits"))
        if found[0] is None:
            return Failed()
        place.write_bytes(found[0])
        return [str(place)]


class Found(list):
    @property
    def file_num(self):
        return len(self)

    def __getitem__(self, index):
        return list(self) if index == 0 else super().__getitem__(index)


class Failed(list):
    errors = ("503 busy",)


@pytest.fixture
def fido(monkeypatch):
    made = Fido([disk(), b"farther away"])
    net = types.ModuleType("sunpy.net")
    net.Fido = made
    net.attrs = types.SimpleNamespace(
        Time=lambda start, end, near: ("time", start.iso, near.iso), Instrument=lambda n: ("instrument", n), Physobs=lambda n: ("physobs", n), Wavelength=lambda v: ("wavelength", v.to_value())
    )
    sunpy = types.ModuleType("sunpy")
    sunpy.net = net
    sunpy.__spec__ = types.SimpleNamespace(name="sunpy")
    monkeypatch.setitem(sys.modules, "sunpy", sunpy)
    monkeypatch.setitem(sys.modules, "sunpy.net", net)
    return made


def test_hmi_and_eit_come_through_sunpy(fido):
    targets = times("2014-03-01T00:00:00", "2014-03-01T00:02:00")
    (raw,) = sun.ROWS["sdo/hmi"].query(targets, Ask())
    assert fido.searched == [(("time", "2014-02-28 23:51:00.000", "2014-03-01 00:01:00.000"), ("instrument", "HMI"), ("physobs", "intensity"))]
    assert raw.content == disk() and dict(sun.ROWS["sdo/hmi"].read(raw))["t"].bands == ("continuum",)
    (raw,) = sun.ROWS["soho/eit"].query(targets, Ask(bands=("195", "304")))
    assert [s[2] for s in fido.searched[1:]] == [("wavelength", 195.0), ("wavelength", 304.0)] and dict(sun.ROWS["soho/eit"].read(raw))["t"].flux.shape == (2, 8, 8)
    fido.files = [None]
    with pytest.raises(ArchiveError, match=r"cannot be downloaded .503 busy") as caught:
        list(sun.ROWS["sdo/hmi"].query(targets, Ask()))
    assert caught.value.transient
    fido.files = []
    (raw,) = sun.ROWS["sdo/hmi"].query(targets, Ask())
    assert list(sun.ROWS["sdo/hmi"].read(raw)) == []


@recorded
def test_sunpys_own_client_takes_what_it_is_asked():
    from astropy import units as u
    from sunpy.net import Fido as Real
    from sunpy.net import attrs as a

    assert callable(Real.search) and callable(Real.fetch)
    span = a.Time(Time("2014-03-01"), Time("2014-03-02"), near=Time("2014-03-01T12:00"))
    wanted = span & a.Instrument("HMI") & a.Physobs("intensity") & a.Wavelength(195.0 * u.AA)
    assert span.near is not None and len(wanted.attrs) == 4


def test_without_sunpy_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="pip install sunpy"):
        list(sun.ROWS["sdo/hmi"].query(times("2014-03-01", "2014-03-02"), Ask()))


# X-rays --------------------------------------------------------------------------------------------


@recorded
@pytest.mark.parametrize(("file", "first", "day", "count"), [("sci_xrsf-l2-avg1m_g16_d20210101_truncated.nc", 8.0505780e-09, "2021-01-01", 100), ("sci_xrsf-l2-avg1m_g15_d20190102_truncated.nc", None, "2019-01-02", 51)])
def test_x_rays_recorded_answer(file, first, day, count):
    content = (DATA / file).read_bytes()
    zero = Time(day).mjd
    with h5py.File(io.BytesIO(content)) as made:
        start = 51544.5 + made["time"][0] / 86400  # since 2000-01-01 12:00; sunpy cut these files from the middle of a day
    assert zero <= start < zero + 1
    series = read(goes.XRS, content, time=[zero, zero + 1])
    assert series.channels == ("xrsa", "xrsb") and series.values.shape == (2, count) and series.step == 60.0 and series.unit == "W / m2"
    assert series.start == pytest.approx(start, abs=1e-9) and series.mask[1].mean() > 0.9
    with h5py.File(io.BytesIO(content)) as made:
        assert np.allclose(series.values[1][series.mask[1]], made["xrsb_flux"][:][series.mask[1]])
    if first is not None:
        assert series.values[0, 0] == pytest.approx(first, rel=1e-5) and series.mask[0, 0]  # electron contamination is no bad datum
    part = read(goes.XRS, content, time=[start + 10 / 1440, start + 20 / 1440])
    assert part.values.shape == (2, 10) and part.start == pytest.approx(start + 10 / 1440, abs=1e-9)


def netcdf(day, minutes=(0, 1, 3), bad=1, **keys):
    file = io.BytesIO()
    zero = (Time(day).mjd - 51544.5) * 86400
    with h5py.File(file, "w") as made:
        made["time"] = zero + 60.0 * np.array(minutes)
        made["time"].attrs["units"] = keys.get("units", "seconds since 2000-01-01T12:00:00")
        for channel in "ab":
            made[f"xrs{channel}_flux"] = np.full(len(minutes), 1e-6, dtype=np.float32)
            made[f"xrs{channel}_flux"].attrs["_FillValue"] = np.float32(-9999)
            flags = np.zeros(keys.get("flags", len(minutes)), dtype=np.uint8)
            flags[bad] = 2
            made[f"xrs{channel}_flag"] = flags
            made[f"xrs{channel}_flag"].attrs.update({"flag_masks": np.array([3, 1, 2], "u1"), "flag_values": np.array([0, 1, 2], "u1"), "flag_meanings": "good_data eclipse bad_data"})
    return file.getvalue()


def test_days_versions_and_satellites(server):
    month = "/goes16/l2/data/xrsf-l2-avg1m_science/2021/01/"
    names = [f"sci_xrsf-l2-avg1m_g16_d202101{d}_v2-{v}-0.nc" for d, v in (("01", 1), ("01", 10), ("02", 2))]
    server.routes[month] = (200, ("<html><body>" + "".join(f'<a href="{n}">{n}</a>' for n in names) + "</body></html>").encode(), "text/html")
    server.routes[month + names[1]], server.routes[month + names[2]] = netcdf("2021-01-01"), netcdf("2021-01-02")
    xrs = replace(goes.XRS, url=server.url, older=server.url + "/old", timeout=5.0)
    targets = Targets.from_times({"two days": (59215.0, 59217.0), "before": (53000.0, 53000.5)})
    raws = list(xrs.query(targets, Ask()))
    found = {k: v for raw in raws for k, v in xrs.read(raw)}
    assert list(found) == ["two days"] and server.paths("/goes16")[:3] == [month, month + names[1], month + names[2]]  # version 10 is newer than 1
    assert any(p.startswith("/old/goes12/xrsf-l2-avg1m_science/2003/12/") for p in server.paths("/old"))
    series = found["two days"]
    assert series.values.shape == (2, 1444) and series.mask[0].nonzero()[0].tolist() == [0, 3, 1440, 1443] and series.start == 59215.0
    with pytest.raises(TargetError, match="at most 31 days"):
        list(xrs.query(Targets.from_times({"a": (59000.0, 59100.0)}), Ask()))
    with pytest.raises(InputError, match="satellite=3"):
        list(xrs.query(targets, Ask(options={"satellite": 3})))


@pytest.mark.parametrize("content", [netcdf("2021-01-01", units="hours"), netcdf("2021-01-01", flags=7), netcdf("2021-01-01")[:3000], netcdf("2021-01-01", minutes=(0, 1, 10**9))])
def test_x_ray_files_that_are_none_are_refused(content):
    with pytest.raises(ArchiveError, match="goes/xrs, target t"):
        read(goes.XRS, content, time=[0.0, 1e9])


@pytest.mark.remote
def test_the_real_archives():
    aia = sun.ROWS["sdo/aia"]
    (raw,) = aia.query(times("2014-01-01T00:00", "2014-01-01T00:04"), Ask(bands=("171",)))
    assert dict(aia.read(raw))["t"].flux.shape == (1, 1024, 1024)
    (raw,) = goes.XRS.query(times("2021-01-01", "2021-01-02"), Ask())
    assert dict(goes.XRS.read(raw))["t"].values.shape == (2, 1440)
