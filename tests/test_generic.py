"""Any service by its address, over HTTP on loopback: what is asked, what is made of the answer, what is said when it fails. A real server: tests/archive."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from loopback import form, votable

import astrofuse_lab as af
from astrofuse_lab.errors import ArchiveError, InputError
from astrofuse_lab.modalities import SPECTRUM_UNIT
from astrofuse_lab.surveys import datalink, photometry
from astrofuse_lab.surveys.survey import Ask, Raw, Survey
from astrofuse_lab.surveys.tap_table import TapTable, quoted, row_numbers
from astrofuse_lab.targets import Target, Targets

HERE, THERE = Target("here", 10.0, 5.0), Target("<b>there</b>", 200.0, -30.0)
BOTH = Targets([HERE, THERE])
XML = "application/x-votable+xml"


class Services:
    """Answers of services by path; what was asked is kept."""

    def __init__(self):
        self.asked, self.answers = [], {}
        services = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                parts = urlparse(self.path)
                given = {k: v if len(v) > 1 else v[0] for k, v in parse_qs(parts.query).items()}
                length = int(self.headers.get("Content-Length") or 0)
                if length:
                    given = {k: v.decode("utf-8", "replace") for k, v in form(self, self.rfile.read(length)).items()}
                services.asked.append((parts.path, given))
                answer = services.answers.get(parts.path, (404, b"nothing here", "text/plain"))
                status, content, media_type = answer(given) if callable(answer) else answer
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def services():
    made = Services()
    yield made
    made.close()


def described(table: Table, **columns: tuple[str, str]) -> Table:
    for name, (unit, ucd) in columns.items():
        table[name].unit = unit or None
        table[name].meta["ucd"] = ucd
    return table


def answer(survey, targets=BOTH, **wanted):
    raws = list(survey.query(targets, Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(targets.ids)  # each in one answer
    return raws, dict(p for raw in raws for p in survey.read(raw))


# TAP -----------------------------------------------------------------------------------------------

CATALOGUE = described(
    Table({"Name": ["one", "two", "far"], "RAh": [10.0001 / 15, 10.0002 / 15, 1.0], "Dec": [5.0, 5.0, 1.0], "size": [1.5, np.nan, 3.0], "Class": ["QSO", "", "x"]}),
    Name=("", "meta.id;meta.main"), RAh=("h", "pos.eq.ra;meta.main"), Dec=("deg", "pos.eq.dec;meta.main"), size=("arcsec", "phys.angSize"), Class=("", "src.class"),
)  # fmt: skip
SCHEMA = Table({"column_name": ["Name", "RAh", "Dec", "size", "Class", "region"], "datatype": ["char", "double", "double", "real", "char", "POLYGON"],
                "unit": ["", "h", "deg", "arcsec", "", ""], "ucd": ["meta.id;meta.main", "pos.eq.ra;meta.main", "pos.eq.dec;meta.main", "phys.angSize", "src.class", ""]})  # fmt: skip


def tap(given):
    adql = given["QUERY"]
    return 200, votable(SCHEMA if "TAP_SCHEMA" in adql else CATALOGUE), XML


def test_a_service_without_uploads_is_asked_for_circles(services):
    services.answers["/tap/sync"] = tap
    survey = af.surveys.tap(f"{services.url}/tap", table="cat.main", where="c.Class <> 'star'")
    assert isinstance(survey, Survey)
    _, rows = answer(survey, radius=3.0)
    adql = [given["QUERY"] for path, given in services.asked if path == "/tap/sync"]
    assert len(adql) == 2 and "TAP_SCHEMA.columns" in adql[0] and "'cat.main'" in adql[0]
    assert 'c."size"' in adql[1] and "region" not in adql[1] and "15 * c.RAh" in adql[1]
    assert adql[1].count("CONTAINS") == 2 and adql[1].endswith("AND c.Class <> 'star'")
    row = rows["here"]
    assert list(rows) == ["here"] and row.values["Name"] == "one" and row.values["match_count"] == 2
    assert row.values["match_distance"] == pytest.approx(0.0001 * 3600 * np.cos(np.radians(5)), rel=1e-4)
    assert row.units == {"RAh": "h", "Dec": "deg", "size": "arcsec", "match_distance": "arcsec"} and row.values["size"] == 1.5
    assert row.roles == {"Name": "id", "RAh": "other", "Dec": "other", "Class": "other", "match_distance": "other", "match_count": "other"}
    list(survey.query(BOTH, Ask()))
    assert len([a for a in services.asked if a[0] == "/tap/sync"]) == 3  # the table is described once


def test_columns_get_names_units_and_roles(services):
    services.answers["/tap/sync"] = tap
    survey = af.surveys.tap(f"{services.url}/tap", table="cat.main", columns={"width": ("size", "mas"), "kind": "Class"}, roles={"kind": "target"}, name="my/table")
    _, rows = answer(survey)
    assert set(rows["here"].values) == {"width", "kind", "match_distance", "match_count"}
    assert rows["here"].units["width"] == "mas" and rows["here"].roles["kind"] == "target"
    with pytest.raises(ArchiveError, match=r"no column nosuch.*It has .*Class"):
        answer(af.surveys.tap(f"{services.url}/tap", table="cat.main", columns=["nosuch"]))


def test_two_ways_to_ask_one_service_are_two_surveys(services):
    services.answers["/tap/sync"] = tap
    some = [af.surveys.tap(f"{services.url}/tap", table="cat.main", **more) for more in ({}, {"columns": ["size"]}, {"columns": {"s": "size"}}, {"epoch": 1991.25})]
    assert len({s.name for s in some}) == len({s.fingerprint for s in some}) == 4
    found = af.fetch(Targets([HERE]), [*some, "practice/table"], progress=False)
    assert len(found.surveys) == 5
    named = [af.surveys.tap(f"{services.url}/tap", table="cat.main", columns=c, name="my/table") for c in (["size"], ["Class"])]
    values = [af.fetch(Targets([HERE]), [s], progress=False).get("my/table", "here").values for s in named]  # the cache tells them apart
    assert "size" in values[0] and "Class" in values[1] and "size" not in values[1]


@pytest.mark.parametrize("geometry", ["contains", "distance", "q3c", "box"])
@pytest.mark.parametrize("uploads", [True, False])
def test_every_dialect_asks_for_the_circle(services, geometry, uploads):
    survey = TapTable(name="a/b", url=services.url, table="t", columns={"date": ("", "other")}, citation="", licence="", release="", geometry=geometry, uploads=uploads)
    adql = survey.adql(BOTH, Ask(radius=3.6))
    assert 'c."date"' in adql and "0.001" in adql and ("tap_upload.targets" in adql) == uploads
    assert {"contains": "CONTAINS", "distance": "DISTANCE", "q3c": "Q3C_", "box": "BETWEEN"}[geometry] in adql
    if geometry == "box" and not uploads:
        assert "+ 360" in adql and "- 360" in adql  # across right ascension zero


def test_names_that_adql_reserves_are_quoted():
    assert [quoted(n) for n in ("ra", "dec", "2MASS", "Size", 'a"b', '"kept"', "g-r")] == ["ra", "dec", '"2MASS"', '"Size"', '"a""b"', '"kept"', '"g-r"']


def test_rows_that_are_the_same_have_one_number():
    """Against the rows written out, with gaps, NaN, texts, truth values and cells of several values."""
    from astropy.table import MaskedColumn

    rng = np.random.default_rng(1)
    n = 300
    table = Table({
        "a": rng.integers(0, 2, n), "b": MaskedColumn(rng.choice([1.0, 2.0, np.nan], n), mask=rng.uniform(size=n) < 0.3), "c": rng.choice(["x", "y", ""], n),
        "d": np.array([None if v else "text" for v in rng.integers(0, 2, n)], dtype=object), "e": rng.integers(0, 2, n) > 0, "f": rng.integers(0, 2, (n, 2)),
        "g": MaskedColumn(rng.choice(["p", "q"], n), mask=rng.uniform(size=n) < 0.3),
    })  # fmt: skip
    written = [repr(tuple(row)) for row in table]
    numbers = row_numbers(table)
    assert 100 < len(set(written)) == len(set(numbers)) == len({*zip(written, numbers, strict=True)}) < n
    assert len(row_numbers(table[:0])) == 0


# cone search ---------------------------------------------------------------------------------------


def test_a_cone_search_of_the_old_kind_documented_format(services):
    """UCD1 words, as in SCS 1.03, section 2.2."""
    table = described(Table({"id": ["x"], "RA": [10.0003], "DE": [5.0], "n": [3]}), id=("", "ID_MAIN"), RA=("deg", "POS_EQ_RA_MAIN"), DE=("deg", "POS_EQ_DEC_MAIN"))
    services.answers["/cone"] = lambda given: (200, votable(table if given["RA"].startswith("10") else table[:0]), "text/xml")
    _, rows = answer(af.surveys.cone(f"{services.url}/cone?"), radius=3.6)
    assert services.asked[0][1] == {"RA": "10.00000000", "DEC": "5.00000000", "SR": "0.00100000"}
    assert list(rows) == ["here"] and rows["here"].values["id"] == "x" and rows["here"].roles["n"] == "other"
    error = b'<?xml version="1.0"?><VOTABLE version="1.1"><RESOURCE><PARAM name="Error" datatype="char" arraysize="*" value="SR is too large"/></RESOURCE></VOTABLE>'
    services.answers["/cone"] = (200, error, "text/xml")
    with pytest.raises(ArchiveError, match="target here: SR is too large"):
        answer(af.surveys.cone(f"{services.url}/cone"), Targets([HERE]))


def test_the_photometry_of_the_nearest_object_only(services):
    table = described(
        Table({"oid": [7, 7, 8], "ra": [10.0, 10.0, 10.0002], "dec": [5.0] * 3, "hjd": [2459000.5, 2459001.5, 2459002.5], "Vmag": [15.0, 16.0, 12.0], "e_Vmag": [20.0, 10.0, 1.0], "f": ["V"] * 3}),
        oid=("", "meta.id;meta.main"), hjd=("d", "time.epoch"), Vmag=("mag", "phot.mag;em.opt.V"), e_Vmag=("mmag", "stat.error;phot.mag"), f=("", "meta.id;instr.filter"),
    )  # fmt: skip
    services.answers["/cone"] = (200, votable(table), XML)
    survey = af.surveys.cone(f"{services.url}/cone", gives="light_curve", zero_point={"V": 3640.0})
    curve = answer(survey, Targets([HERE]))[1]["here"]
    assert curve.time.tolist() == [59000.0, 59001.0] and set(curve.band) == {"V"} and curve.unit == "uJy"
    assert curve.flux[0] == pytest.approx(3640e6 * 10 ** (-0.4 * 15), rel=1e-6) and curve.flux_err[0] / curve.flux[0] == pytest.approx(0.02 * 0.4 * np.log(10), rel=1e-6)
    assert len(answer(survey, Targets([HERE]), time=(59000.5, 59010.0))[1]["here"].time) == 1
    assert answer(survey, Targets([HERE]), bands=("B",))[1] == {}
    with pytest.raises(ArchiveError, match="target here: the answer lacks the columns Name"):
        answer(af.surveys.cone(f"{services.url}/cone", gives="light_curve", id_column="Name"), Targets([HERE]))
    with pytest.raises(ArchiveError, match="zero_point has no band V"):
        answer(af.surveys.cone(f"{services.url}/cone", gives="light_curve", zero_point={"B": 4260.0}), Targets([HERE]))


# light curve columns -------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "unit", "zero", "mjd"), [
    (59000.25, "d", None, 59000.25), (2459000.75, "d", None, 59000.25), (9000.25, "d", 50000.0, 59000.25), (86400.0, "s", 59000.0, 59001.0),
    (2000.0, "yr", None, 51544.5), ("2020-05-31T06:00:00", "", None, 59000.25),
])  # fmt: skip
def test_times_of_any_kind_become_mjd(values, unit, zero, mjd):
    assert photometry.mjd(np.array([values]), unit, zero)[0] == pytest.approx(mjd, abs=1e-9)


def test_times_that_count_from_nowhere_are_refused():
    for unit, words in (("s", "time_zero="), ("Jy", "no unit of time")):
        with pytest.raises(ValueError, match=words):
            photometry.mjd(np.array([1.0]), unit)


@pytest.mark.parametrize(("unit", "factor", "becomes"), [
    ("mJy", 1e3, "uJy"), ("nanomaggies", 3.631, "uJy"), ("erg/s/cm2/Hz", 1e29, "uJy"), ("W.m-2.Hz-1", 1e32, "uJy"), ("electron/s", 1.0, "electron/s"), ("", 1.0, "relative"),
])  # fmt: skip
def test_fluxes_of_any_unit(unit, factor, becomes):
    got = photometry.microjansky(unit)
    assert got[0] == pytest.approx(factor) and got[1] == becomes


# files ---------------------------------------------------------------------------------------------

OBSCORE = {"dataproduct_type": ["image"], "access_format": ["image/fits"], "s_ra": [10.0], "s_dec": [5.0], "em_min": [4e-7], "em_max": [5e-7]}


def links(**row):
    table = Table({name: [row.get(name, "")] for name in ("ID", "access_url", "service_def", "error_message", "semantics", "content_type")})
    return 200, votable(table), f"{XML};content=datalink"


def picture(unit="mJy", data=2.0, **cards):
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 5.0, "CRPIX1": 10.5, "CRPIX2": 10.5, "CDELT1": -1 / 3600, "CDELT2": 1 / 3600,
                          "BUNIT": unit, **cards})  # fmt: skip
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.full((20, 20), data), header, name="SCI"), fits.ImageHDU(np.full((20, 20), 0.5), name="ERR"),
                  fits.ImageHDU((np.arange(400).reshape(20, 20) == 210).astype(np.int16), name="DQ")]).writeto(file)  # fmt: skip
    return 200, file.getvalue(), "image/fits"


def listed(services, **more):
    services.answers["/sia"] = lambda given: (200, votable(Table({**OBSCORE, "access_url": [f"{services.url}/file"], **more})[: None if "10.0" in given["POS"] else 0]), XML)


def test_an_image_with_errors_and_a_mask(services):
    listed(services)
    services.answers["/file"] = picture(FILTER="F606W")
    _, images = answer(af.surveys.sia2(f"{services.url}/sia", parameters={"COLLECTION": "HST"}), size=10.0, time=(59000.0, 59001.0))
    given = services.asked[0][1]
    assert given["COLLECTION"] == "HST" and given["TIME"] == "59000.0 59001.0" and given["POS"] == "CIRCLE 10.00000000 5.00000000 0.00138889"
    image = images["here"]
    assert list(images) == ["here"] and image.bands == ("F606W",) and image.flux.shape == (1, 10, 10) and image.unit == "uJy"
    assert (~image.mask).sum() == 1 and image.flux[image.mask] == pytest.approx(2000.0) and image.ivar[image.mask] == pytest.approx(1 / 500.0**2)


@pytest.mark.parametrize("unit", ["Jy/beam", "JY/BEAM", "Jy / beam", "mJy/beam", "Jy beam-1", "Jy beam^-1"])
def test_flux_per_beam_becomes_flux_per_pixel(services, unit):
    """A point source's pixels add up to its flux: a Gaussian beam of peak 1 mJy/beam sums to 1 mJy."""
    listed(services)
    y, x = np.mgrid[:20, :20]
    beam = 1e-3 * (1000 if unit.startswith("m") else 1) * np.exp(-4 * np.log(2) * (((x - 9.5) / 5.0) ** 2 + ((y - 9.5) / 4.0) ** 2))
    services.answers["/file"] = picture(unit, data=beam, BMAJ=5 / 3600, BMIN=4 / 3600)
    image = answer(af.surveys.sia2(f"{services.url}/sia"), size=20.0)[1]["here"]
    assert image.unit == "uJy" and image.flux.sum() == pytest.approx(1000.0 * (1 - beam[10, 10] / beam.sum()), rel=1e-3)  # one pixel is masked
    assert image.ivar[image.mask].max() == pytest.approx(1 / (image.flux.max() * 0.5 / beam.max()) ** 2, rel=1e-4)
    services.answers["/file"] = picture(unit, BMAJ=5 / 3600)  # no beam
    assert answer(af.surveys.sia2(f"{services.url}/sia"), size=20.0)[1]["here"].unit == f"{'mJy' if unit.startswith('m') else 'Jy'} / beam"


def test_bands_are_told_apart_by_their_wavelengths(services):
    listed(services)
    services.answers["/file"] = picture()
    survey = af.surveys.sia2(f"{services.url}/sia", bands={"g": 4700, "far": 240000})
    assert answer(survey, Targets([HERE]), bands=("g",))[1]["here"].bands == ("g",) and services.asked[0][1]["BAND"] == "4.7e-07"
    assert answer(survey, Targets([HERE]), bands=("far",))[1] == {}
    with pytest.raises(InputError, match="has no band 'y'"):
        answer(survey, bands=("y",))


@pytest.mark.parametrize(("reply", "words"), [
    (links(ID="x", semantics="#this", error_message="NotFoundFault: gone"), "NotFoundFault: gone"),
    (links(ID="x", semantics="#preview", access_url="http://127.0.0.1:9/x"), "has none to #this"),
    ((200, b"no fits at all", "image/fits"), "band .*unreadable"),
    (picture(CDELT1=0.0), "no scale"),
    ((503, b"back soon", "text/plain"), "HTTP 503.*back soon"),
])  # fmt: skip
def test_files_that_do_not_come_are_told(services, reply, words):
    listed(services, access_format=[reply[2]])
    services.answers["/file"] = reply
    with pytest.raises(ArchiveError, match=rf"(?s)target here.*{words}"):
        answer(af.surveys.sia2(f"{services.url}/sia"), Targets([HERE]))


def test_a_file_behind_links_and_the_best_format(services):
    table = Table({"ID": ["a"] * 3, "access_url": ["u1", "u2", "u3"], "semantics": ["#this", "#this", "#preview"], "content_type": ["text/csv", "application/fits", "image/png"]})
    assert datalink.link(votable(table), "s", "t") == "u2"
    table["semantics"] = ["http://www.ivoa.net/rdf/datalink/core#this", "#auxiliary", "#preview"]
    assert datalink.link(votable(table), "s", "t") == "u1" and datalink.link(votable(table), "s", "t", "#calibration") == ""


def test_spectra_by_utype_documented_format(services):
    """SSA 1.1, table 2: columns known by utype alone; the nearest within the radius, FITS before text."""
    table = Table({"a": [f"{services.url}/far", f"{services.url}/text", f"{services.url}/good"], "b": ["application/fits", "text/plain", "application/fits"],
                   "c": ["10.1 5.0", "10.0 5.0", "10.0 5.0"]})  # fmt: skip
    for name, utype in (("a", "ssa:Access.Reference"), ("b", "ssa:Access.Format"), ("c", "ssa:Char.SpatialAxis.Coverage.Location.Value")):
        table[name].meta["utype"] = utype
    services.answers["/ssa"] = (200, votable(table), XML)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([fits.Column("WAVE", "D", "nm", array=np.arange(400.0, 500)), fits.Column("FLUX", "D", "Jy", array=np.ones(100))])]).writeto(file)
    services.answers["/good"] = (200, file.getvalue(), "application/fits")
    spectrum = answer(af.surveys.ssa(f"{services.url}/ssa"), Targets([HERE]))[1]["here"]
    assert spectrum.wavelength[0] == pytest.approx(4000.0) and spectrum.unit == SPECTRUM_UNIT
    assert [path for path, _ in services.asked] == ["/ssa", "/good"] and services.asked[0][1]["POS"] == "10.00000000,5.00000000"
    assert answer(af.surveys.ssa(f"{services.url}/ssa"), Targets([THERE]))[1] == {}


# rubbish and arguments -----------------------------------------------------------------------------

MAKERS = [("tap", {"table": "t"}), ("tap", {"table": "t", "gives": "light_curve"}), ("cone", {}), ("sia1", {}), ("sia2", {}), ("ssa", {}), ("ssa", {"gives": "light_curve"}),
          ("obscore", {"gives": "image"}), ("obscore", {"gives": "spectrum"}), ("obscore", {"gives": "light_curve"})]  # fmt: skip


@pytest.mark.parametrize(("maker", "arguments"), MAKERS)
@pytest.mark.parametrize("content", [b"", b"\x00" * 3000, b"<html>down</html>", b"{}", b"[1, 2", b"<VOTABLE/>", b"SIMPLE  =" + b" " * 3000])
def test_rubbish_is_an_archive_error_that_names_survey_and_target(maker, arguments, content):
    survey = getattr(af.surveys, maker)("http://127.0.0.1:9/x", **arguments)
    good = votable(Table({"access_url": ["u"]}))
    for raw in (
        Raw(survey.name, ("the target",), content, "", extra={"lengths": [len(content)], "ra": 1.0, "dec": 2.0, "radius": 3.0}),
        Raw(survey.name, ("the target",), good + content, "", extra={"lengths": [len(good), len(content)], "bands": ["g"], "media_types": [""], "ra": 1.0, "dec": 2.0, "size": 3.0}),
    ):
        with pytest.raises(ArchiveError) as caught:
            list(survey.read(raw))
        assert caught.value.survey == survey.name and caught.value.target == "the target"


@pytest.mark.parametrize(("maker", "arguments", "words"), [
    ("tap", {"table": ""}, "table is empty"), ("tap", {"table": "t", "gives": "image"}, "'table', 'light_curve'"), ("tap", {"table": "t", "columns": "ra"}, "list of"),
    ("tap", {"table": "t", "columns": {"a": 3}}, "pair of column and unit"), ("tap", {"table": "t", "geometry": "round"}, "contains, distance"),
    ("tap", {"table": "t", "gives": "light_curve", "columns": {"time": "mjd"}}, "flux or mag"), ("cone", {"gives": "light_curve", "columns": {"when": "mjd", "mag": "m"}}, "name its fields"),
    ("sia2", {"bands": {"g": "green"}}, "wavelength inside"), ("obscore", {"gives": "text"}, "'image', 'spectrum'"), ("ssa", {"gives": "image"}, "'spectrum'"),
])  # fmt: skip
def test_arguments_that_make_no_sense(maker, arguments, words):
    with pytest.raises(InputError, match=words):
        getattr(af.surveys, maker)("http://127.0.0.1:9/x", **arguments)


def test_an_address_is_wanted():
    for url in ("dc.g-vo.org/tap", "file:///etc/passwd", ""):
        with pytest.raises(InputError, match="no address of a service"):
            af.surveys.cone(url)


@pytest.mark.remote
def test_a_real_service():
    survey = af.surveys.tap("https://dc.g-vo.org/tap", table="gaia.dr3lite")
    rows = answer(survey, Targets([Target("Barnard", 269.45207696, 4.69336497, 2000.0, -801.551, 10362.394)]), radius=200.0)[1]
    assert rows["Barnard"].values["match_count"] >= 1
