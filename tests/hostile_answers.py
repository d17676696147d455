"""More valid answers for `hostile_changes` to spoil: what each further survey's `query` brings home from a loopback server, in the layouts that its own tests write."""

import io
import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import hostile_seeds
import numpy as np
import packets
import test_brokers
import test_calibrated_images as calibrated
import test_casda
import test_catalogues as catalogues
import test_eso
import test_fast_pulsars
import test_generic as generic
import test_hsc
import test_koa_spectra
import test_literature as literature
import test_simbad as simbad
import test_tap_proposals
import test_vizier
from answering import Answering
from astropy.io import fits
from astropy.table import Table
from hostile_seeds import TARGET, Seed, seed
from image_server import fits_file, tan
from loopback import votable
from test_catalogues_of_events import ROWS as ALERTS
from test_catalogues_of_events import page
from test_mast_cutouts import packed
from test_sky_maps import multi_order
from test_sun import disk, netcdf

from astrofuse_lab import surveys
from astrofuse_lab.modalities import Modality, Text
from astrofuse_lab.surveys import ads, alma_proposals, arxiv, atel, brokers, datalink, gcn, icecube, mast_proposals, ned, tap_proposals
from astrofuse_lab.surveys.practice import catalogue
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.surveys.template import TemplateTable
from astrofuse_lab.targets import Target, Targets

HERE = Target(TARGET, 10.0, 5.0, 2000.0)


@contextmanager
def served(routes: dict[str, Any]) -> Iterator[str]:
    """The address of a server that answers by path."""
    server = Answering()
    server.routes |= routes
    try:
        yield server.url
    finally:
        server.close()


def asked(survey: Any, routes: dict[str, Any], *targets: Target, path: str = "", more: tuple[str, ...] = (), **wanted: Any) -> list[Seed]:
    """What a survey, moved to a server with these routes (`more`: attributes that are addresses as well), is answered about these targets; answers of several bodies in parts."""
    with served(routes) as url:
        own = {"url": url + path, "mirrors": (), **dict.fromkeys(more, url)}
        there = survey(url) if callable(survey) else replace(survey, **own)
        raws = list(there.query(Targets(targets or (HERE,)), Ask(**wanted)))
    made = []
    for raw in raws:
        lengths = raw.extra.get("lengths")
        ends = np.cumsum([0, *(lengths or [len(raw.content)])])
        bodies = [raw.content[a:b] for a, b in itertools.pairwise(ends)]
        if raw.content:
            made.append(Seed(there, bodies, {k: v for k, v in raw.extra.items() if k != "lengths"}, raw.target_ids, lengths is not None))
    return made


def by_query(function: Callable[[dict[str, str]], Any]) -> Callable[[Any], Any]:
    """A route of `image_server` as one of `answering`."""
    return lambda request: function(request.query)


def further_images() -> list[Seed]:
    """Files of every further survey of images."""
    m51 = Target(TARGET, calibrated.M51.ra, calibrated.M51.dec)
    cube = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6) + 1
    place = "/data/ztf/products/ref/000/field000535/zg/ccd11/q3/ztf_000535_zg_c11_q3_"
    sci = "/data/ztf/products/sci/2018/0412/467847/ztf_20180412467847_000535_zg_c11_o_q3_"
    square = {"size": 8.0, "bands": ("g",)}
    scan = fits_file((np.full((8, 8), 2.0), tan(m51.ra, m51.dec, 8, 1.012)))
    routes = {
        "/cgi-bin/ps1filenames.py": by_query(calibrated.panstarrs_list), "/cgi-bin/fitscut.cgi": by_query(calibrated.panstarrs_file), "/thumb": calibrated.jwst_file(),
        "/search/ztf/products/sci": (calibrated.SCI + calibrated.SCI_ROWS).encode(), sci + "sciimg.fits": calibrated.ztf_file(),
        sci + "mskimg.fits": fits_file((np.zeros((8, 8), np.int16), {})), "/search/ztf/products/ref": b"field,ccdid,qid,filtercode,maglimit\n535,11,3,zg,22.5\n",
        place + "refimg.fits": calibrated.ztf_file(), place + "refunc.fits": scan,
    }  # fmt: skip
    return [
        seed("skyview/first", fits_file((np.full((8, 8), 3.0), tan(10.0, 5.0, 8, 1.8))), bands=["1.4GHz"]), seed("casda/image", test_casda.picture(), times=[59000.0]),
        Seed(surveys.hips("cxc/P/rgb", colour=True), [fits_file((cube, tan(10.0, 41.0, 6, 1.0)))], {"bands": ["red", "green", "blue"]}),
        seed("sdo/hmi", disk(32), bands=["magnetogram"]),
        *asked(surveys.get("panstarrs/image"), routes, m51, size=2.0, bands=("g", "r"), options={"variance": True}),
        *asked(surveys.get("ztf/image"), routes, m51, **square), *asked(surveys.get("ztf/reference_image"), routes, m51, **square),
        *asked(surveys.get("jwst/image"), routes, Target(TARGET, 53.16, -27.79), size=4.0),
    ]  # fmt: skip


def further_zips() -> list[Seed]:
    """Target pixels of TESS."""
    cadences, shape = 3, (5, 5)
    pixels = fits.BinTableHDU.from_columns([
        fits.Column("TIME", "D", array=np.arange(1325.0, 1325 + cadences)), fits.Column("FLUX", "25E", dim="(5,5)", array=np.full((cadences, *shape), 80.0)),
        fits.Column("FLUX_ERR", "25E", dim="(5,5)", array=np.full((cadences, *shape), 2.0)), fits.Column("QUALITY", "J", array=np.array([0, 8, 0])),
    ], name="PIXELS")  # fmt: skip
    aperture = fits.ImageHDU(np.ones(shape, np.int32), fits.Header(tan(107.0, -70.0, 5, 21.0)), name="APERTURE")
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), pixels, aperture]).writeto(file)
    return [seed("tess/image", packed(tess_s0001__fits=file.getvalue()))]


def further_spectra() -> list[Seed]:
    """A spectrum of ESO, and the orders of one of Keck's."""
    orders = [test_koa_spectra.order(start) for start in (5000.0, 5040.0)]
    keck = seed("koa/hires_spectrum", *orders, koaid="HI.20100101.2.fits", time=55197.5)
    routes = {"/tap_obs/sync": test_eso.obscore(test_eso.FOUND), "/file/*": (200, test_eso.product(), "application/fits")}
    return [keck, *asked(lambda url: replace(surveys.get("eso/spectrum"), url=url + "/tap_obs", files=url + "/file/"), routes, Target(TARGET, 253.1, -40.2), radius=2.0)]


def further_csv() -> list[Seed]:
    """Objects of Subaru's Hyper Suprime-Cam."""
    return [seed("hsc/table", test_hsc.table({}, {"object_id": "43158034708430062", "ra": "150.1004"}), lengths=False, ra=[150.1], dec=[2.2], radius=3.0)]


def further_maps() -> list[Seed]:
    """The sky map of a published event."""
    return [seed("gwosc/sky_map", multi_order(), lengths=False)]


def catalogue_rows() -> list[Seed]:
    """Rows of every further catalogue behind TAP or X-Match, in the VOTable that it sends."""
    made = []
    for name in ("2mass/table", "kids/table", "chandra/table", "datalab/ls_dr10"):
        survey = surveys.get(name)
        made += asked(survey, {"/tap/sync": catalogues.tap_service(survey)}, *catalogues.TARGETS[:1], path="/tap", radius=3.0)
    made += asked(surveys.vizier("J/ApJS/271/25", radius=60.0), {"/tap/sync": test_vizier.vizier_service()}, *catalogues.TARGETS[:2], path="/tap", radius=3.0)
    rows = Table({"angDist": [0.5, 1.5], "target_row": np.array([0, 0], np.int32), "target_ra": [10.0, 10.0], "target_dec": [5.0, 5.0], "Jmag": [15.0, 16.0]})
    made += asked(surveys.xmatch("vizier:II/246/out"), {"/sync": votable(rows)}, path="/sync")
    made += asked(surveys.get("koa/hires"), {"/TAP/sync": test_eso.frames([(10.0, 5.0, 30.0), (10.0001, 5.0, 900.0)])}, path="/TAP", radius=5.0)

    def answer(request: Any) -> Any:
        adql = request.fields["QUERY"].decode()
        return simbad.references([1]) if "has_ref" in adql else simbad.objects([(0, 1)])

    script = {"/sim-script": lambda request: (200, simbad.notes(request.fields["script"].decode()), "text/plain")}
    made += asked(surveys.get("simbad/text"), {"/sync": answer, **script}, Target(TARGET, 202.4696, 47.1952), radius=3.0)
    proposals = Table({name: np.array(["2016.1.00386.S"], dtype="U60") for name in alma_proposals.COLUMNS})
    made += asked(alma_proposals.TEXT, {"/sync": votable(proposals)})
    made += asked(tap_proposals.ESO, {"/sync": test_tap_proposals.programmes(tap_proposals.ESO)})
    found = Table({ned.NAME: ["3C 273"], ned.RA: [10.0], ned.DEC: [5.0], ned.TYPE: ["QSO"], ned.REDSHIFT: [0.158]})
    notes, papers = (Table({"Refcode": ["2008A&A...1"], name: ["the <b>image</b>"]}) for name in ("Note", "Article Title"))
    parts = [votable(table) for table in (found, notes, papers)]
    return [*made, seed("ned/text", *parts, ra=10.0, dec=5.0, radius=3.0, parts=["objects", "notes", "references"], most=20)]


@dataclass
class Links:
    """Reads documents of links as `VoProducts.download` does."""

    name: str = "any/links"

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        target = raw.target_ids[0]
        cut = datalink.cutter(raw.content, self.name, target)
        address = cut.address if cut is not None else datalink.link(raw.content, self.name, target)
        if address:
            yield target, Text(address, None)  # type: ignore[arg-type]


def services() -> list[Seed]:
    """What services of any address send: TAP, cone, SIA2, SSA, ObsCore, with FITS, VOTable and text behind them, and documents of links."""
    curve = Table({"obs_time": [59000.0, 59001.0], "mag": [15.0, 16.0], "mag_err": [0.1, 0.2], "band": ["V", "V"], "RAh": [10.0 / 15] * 2, "Dec": [5.0] * 2, "Name": ["one"] * 2})
    fields = {"time": ("obs_time", "d"), "mag": ("mag", "mag"), "mag_err": ("mag_err", "mag"), "band": "band"}
    place = {"ra": "RAh", "dec": "Dec", "angle": "hourangle"}
    spectrum = b"wavelength,flux,error\n" + b"".join(b"%d,1.5,0.1\n" % wave for wave in range(4000, 4050))
    hidden = {"columns": fields, "zero_point": {"V": 3640.0}}
    files = {"image": generic.picture(FILTER="F606W"), "radio": generic.picture(unit="Jy/beam", BMAJ=5 / 3600, BMIN=4 / 3600), "curve": (200, votable(curve), generic.XML),
             "text": (200, spectrum, "text/csv"), "table": test_eso.product()}  # fmt: skip

    def listing(what: str, form: str) -> Callable[[Any], Any]:
        def answer(request: Any) -> bytes:
            kind = {"image": "image", "radio": "image", "curve": "timeseries"}.get(what, "spectrum")
            row = {**generic.OBSCORE, "dataproduct_type": [kind], "access_format": [form], "access_url": [f"{answer.url}/{what}"]}
            table = Table(row)
            table["access_url"].meta["utype"], table["access_format"].meta["utype"] = "ssa:Access.Reference", "ssa:Access.Format"
            return votable(table)

        return answer

    made = []
    for what, form, maker in (
        ("image", "image/fits", lambda url: surveys.sia2(f"{url}/list")), ("radio", "image/fits", lambda url: surveys.obscore(f"{url}/list", gives="image")),
        ("text", "text/csv", lambda url: surveys.ssa(f"{url}/list")), ("table", "application/fits", lambda url: surveys.obscore(f"{url}/list", gives="spectrum")),
        ("curve", generic.XML, lambda url: surveys.ssa(f"{url}/list", gives="light_curve", **hidden)),
    ):  # fmt: skip
        listed = listing(what, form)

        def survey(url: str, listed: Any = listed, maker: Any = maker) -> Any:
            listed.url = url
            return maker(url)

        made += asked(survey, {"/list": listed, "/list/sync": listed, f"/{what}": files[what]}, HERE, size=10.0, radius=3.0)
    routes = {"/tap/sync": lambda request: generic.tap({k: v.decode() for k, v in request.fields.items()})}
    made += asked(lambda url: surveys.tap(f"{url}/tap", table="cat.main"), routes, HERE)
    made += asked(lambda url: surveys.tap(f"{url}/tap", table="epochs", gives="light_curve", uploads=False, **place, **hidden), {"/tap/sync": votable(curve)}, HERE)
    made += asked(lambda url: surveys.cone(f"{url}/cone"), {"/cone": votable(generic.CATALOGUE)}, HERE)
    made += asked(lambda url: surveys.cone(f"{url}/cone", gives="light_curve", ra="RAh", dec="Dec", id_column="Name", **hidden), {"/cone": votable(curve)}, Target(TARGET, 10.0 / 15, 5.0))
    links = generic.links(ID="x", semantics="#this", access_url="http://127.0.0.1:9/x", content_type="image/fits")[1]
    return [*made, Seed(Links(), [links], lengths=False)]


def further_documents() -> list[Seed]:
    """JSON of every further survey that sends it."""
    event = Target(TARGET, identifier="GRB 170817A")
    listed = [literature.circular(3), {**literature.circular(2), "body": ""}, literature.circular(1)]
    routes = {"/api/synonym/circulars": json.dumps(listed).encode(), "/circulars/2.json": json.dumps(literature.circular(2)).encode(), "/query": literature.docs("A jet", "A disk")}
    os.environ["ADS_API_TOKEN"] = literature.TOKEN
    try:
        made = asked(gcn.TEXT, routes, event) + asked(ads.TEXT, routes, event)
        made.append(seed("fast/pulsars", test_fast_pulsars.FULL, lengths=False, ra=285.5, dec=3.1, radius=180.0))
    finally:
        del os.environ["ADS_API_TOKEN"]
    row = {"obs_collection": "HST", "proposal_id": "8880", "proposal_pi": "Osten", "obs_title": "EV Lac", "target_classification": "STAR", "instrument_name": "STIS", "target_name": "x"}
    made += asked(mast_proposals.TEXT, {"/*": json.dumps({"status": "COMPLETE", "msg": "", "data": [row], "paging": {"rowsTotal": 1}}).encode()}, HERE, bands=("HST",))
    panstarrs, hubble = surveys.get("panstarrs/table"), surveys.get("hubble/table")
    made += asked(panstarrs, {"/dr2/mean.json": catalogues.panstarrs_answer(panstarrs, catalogues.SKY[:2])})
    rows = [{**dict.fromkeys(hubble.columns, 1.5), "MatchID": 7, "MatchRA": 10.0, "MatchDec": 5.0, "A_F814W": 20.5, "A_F814W_Sigma": 0.1, "A_F814W_N": 3}]
    made += asked(hubble, {"/*": json.dumps({"status": "COMPLETE", "msg": "", "data": rows}).encode()}, path="/invoke")
    sources = [{"r:diaObjectId": "77", "r:midpointMjdTai": 61000.0, "r:psfFlux": 4000.0, "r:psfFluxErr": 100.0, "r:band": "r"}]
    near = [{"r:diaObjectId": "77", "r:ra": 150.0, "r:dec": 20.0, "r:midpointMjdTai": 61001.0, "v:separation": 0.0}]
    rubin = {"/api/v1/conesearch": json.dumps(near).encode(), "/api/v1/sources": json.dumps(sources).encode()}
    return [*made, *asked(brokers.ROWS["fink/rubin_light_curve"], rubin, Target(TARGET, 150.0, 20.0))]


def broker_packets() -> list[Seed]:
    """Packets of ALeRCE."""
    routes = {
        "/objects": json.dumps({"items": [{"oid": "ZTF19abguqsi", "meanra": 150.0001, "meandec": 20.0}], "total": 1}).encode(),
        "/objects/ZTF19abguqsi/lightcurve": json.dumps({"detections": test_brokers.DETECTIONS, "non_detections": test_brokers.LIMITS}).encode(),
        "/get_avro": packets.container(packets.ZTF, [packets.ztf()], "snappy"),
    }
    here = Target(TARGET, 150.0, 20.0)
    return [one for gives in ("image", "table") for one in asked(brokers.ROWS[f"alerce/{gives}"], routes, here, more=("packets",))]


def pages() -> list[Seed]:
    """Pages and feeds: HTML of IceCube and of telegrams, Atom of arXiv, RSS of telegrams."""
    event, feed = Target(TARGET, identifier="M 51"), literature.FEED.format(total=9, entries=literature.ENTRY.format("M 51")).encode()
    telegram = {"/": lambda request: (200, literature.TELEGRAM, "text/html") if "read" in request.query else (200, literature.RSS, "text/xml")}
    return [
        *asked(replace(arxiv.TEXT, pause=0.0), {"/query": feed}, event), *asked(atel.TEXT, telegram, Target(TARGET, identifier="ATel #1")),
        *asked(atel.TEXT, telegram, Target(TARGET, identifier="SN2026abc")),
        *asked(icecube.TABLE, {"/file": (200, page(*ALERTS), "text/html")}, Target(TARGET, 345.82, 9.45), path="/file"),
    ]  # fmt: skip


def netcdfs() -> list[Seed]:
    """Days of GOES."""
    first, second = netcdf("2021-01-01"), netcdf("2021-01-02")
    return [seed("goes/xrs", first, second, time=[59215.0, 59217.0], satellite=16), seed("goes/xrs", first, time=[59215.0, 59216.0], satellite=16)]


def own() -> list[Seed]:
    """The practice sky, which reads its own files like any archive's, and the template."""
    few = catalogue.objects_in(150.0, 2.2, 0.3, 12)
    made = [Seed(TemplateTable(url="http://127.0.0.1:9"), [b"name,ra,dec,mag\nT 17,10.5,-3.25,\nT 18,10.5001,-3.25,17.5\n"], lengths=False)]
    for kind in ("image", "spectrum", "light_curve", "table", "text"):
        survey = surveys.get(f"practice/{kind}")
        raw = next(raw for raw in survey.query(few, Ask(size=4.0)) if any(True for _ in survey.read(raw)))
        made.append(Seed(survey, [raw.content], dict(raw.extra), raw.target_ids, lengths=False))
    return made + simulators()


def simulators() -> list[Seed]:
    """Events of the simulators."""
    made = []
    for name in ("practice/triplet", "practice/triplet_table", "practice/streak_image", "practice/image_pair_table", "practice/gw_alerts", "practice/lock_loss", "practice/lock_loss_table", "practice/transit_light_curve", "practice/transit_table", "practice/burst_table"):
        survey = surveys.get(name)
        made += [Seed(survey, [raw.content], dict(raw.extra), raw.target_ids, lengths=False) for raw in survey.query(Targets([HERE]), Ask())]
    return made


FURTHER: dict[str, Callable[[], list[Seed]]] = {
    "CSV": further_csv, "sky map": further_maps,
    "FITS image": further_images, "FITS spectrum": further_spectra, "VOTable": catalogue_rows, "JSON": further_documents, "Avro": broker_packets,
    "ZIP": further_zips, "VO services": services, "page": pages, "netCDF": netcdfs, "own": own,
}  # fmt: skip
MAKERS: dict[str, Callable[[], list[Seed]]] = {
    form: lambda form=form: [one for makers in (hostile_seeds.MAKERS, FURTHER) if form in makers for one in makers[form]()]  # type: ignore[misc]
    for form in dict.fromkeys([*hostile_seeds.MAKERS, *FURTHER])
}
COUNTS = {
    "FITS image": 1000, "FITS spectrum": 600, "FITS light curve": 300, "VOTable": 1000, "Avro": 500, "Parquet": 400, "CSV": 500, "JSON": 900, "ZIP": 300, "sky map": 200,
    "HDF5": 100, "VO services": 800, "page": 300, "netCDF": 100, "own": 300,
}  # fmt: skip
"""Mutated answers of each format at full counts."""
