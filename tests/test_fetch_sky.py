"""The sky of the fetch view: exact coverages from MOCs, which sky is shown, and Aladin Lite where ipyaladin is installed."""

import gzip
import io
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from answering import Answering
from astropy.io import fits
from widget_tools import shown, until, values_of

import astrofuse_lab as af
from astrofuse_lab import cache, outlines, regions
from astrofuse_lab.errors import ArchiveError, InputError, MissingExtraError
from astrofuse_lab.surveys import SURVEYS, get, health
from astrofuse_lab.targets import Target
from astrofuse_lab.widgets import fetch_aladin, fetch_facts
from astrofuse_lab.widgets.base import from_bits
from astrofuse_lab.widgets.fetch_aladin import UNKNOWN, sky_choice

pytest_plugins = ["widget_tools"]
MOC_FILE = Path(find_spec("astroquery").origin).parent / "mocserver" / "tests" / "data" / "moc.fits"
SDSS = "CDS/P/SDSS9/g"
FIELD = "5/1000-1300 9/700000"


def moc_file(text=FIELD):
    """A MOC as the server sends it: FITS, NUNIQ (MOC 2.0, section 4.1)."""
    ranges = regions.region_of(text).ranges >> 2 * (29 - 9)
    cells = outlines.cells_by_order(9, ranges)
    uniq = [4 * 4 ** int(order) + cell for order, some in cells.items() for cell in some]
    unit = fits.BinTableHDU.from_columns([fits.Column("UNIQ", "K", array=np.array(uniq))])
    unit.header.update(PIXTYPE="HEALPIX", ORDERING="NUNIQ", COORDSYS="C", MOCORDER=9)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(file)
    return file.getvalue()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("ASTROFUSE_CACHE", str(tmp_path / "cache"))
    health.forget()
    made = Answering()
    monkeypatch.setattr(outlines.SERVER, "url", made.url + "/query")
    monkeypatch.setattr(outlines.SERVER, "mirrors", (made.url + "/mirror",))
    made.routes["/query"] = moc_file()
    yield made
    made.close()
    health.forget()


# the MOCs ------------------------------------------------------------------------------------------


def test_a_moc_is_asked_for_once_as_documented(server):
    cells = outlines.outline(SDSS)
    assert np.array_equal(cells.ranges, regions.region_of(FIELD).ranges)
    assert [a.query for a in server.asked] == [{"ID": SDSS, "get": "moc", "order": "10"}]
    server.close()
    for mode in ("prefer-cache", "offline"):
        assert np.array_equal(outlines.outline(SDSS, mode=mode).ranges, cells.ranges)
    assert len(server.asked) == 1 and cache.size() > 0 and cache.clear("cds/moc") > 0
    with pytest.raises(ArchiveError, match="asks nobody"):
        outlines.outline(SDSS, mode="offline")


def test_a_moc_at_an_address_and_a_mirror(server):
    server.routes["/elsewhere/Moc.fits"] = gzip.compress(moc_file())
    assert outlines.outline(server.url + "/elsewhere/Moc.fits").area == pytest.approx(regions.region_of(FIELD).area)
    server.routes["/query"] = (503, b"maintenance", "text/plain")
    server.routes["/mirror"] = moc_file("3/5")
    assert outlines.outline("CDS/P/2").area == pytest.approx(regions.SKY / 768)
    with pytest.raises(InputError, match="moc is empty"):
        outlines.outline("")


def test_a_moc_of_the_cds_recorded_answer(server):
    if not MOC_FILE.exists():
        pytest.skip("astroquery came without its test data")
    server.routes["/query"] = MOC_FILE.read_bytes()
    assert outlines.outline(SDSS).area == pytest.approx(regions.region_of(MOC_FILE).area)


HOSTILE = {
    "empty": b"", "page": b"<!doctype html><title>login</title>", "json": b'{"3": [99999]}', "list": b"[1, 2", "text": b"3/", "deep": b"44/1",
    "zeros": bytes(5000), "cut": moc_file()[:4000], "bomb": gzip.compress(bytes(64 * 1024**2)), "large": b"3/1 " * (2 * 1024**2),
    "frame": moc_file().replace(b"COORDSYS= 'C ", b"COORDSYS= 'G "), "nan": b'{"3": [NaN]}', "script": b'{"<script>": [1]}',
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_moc_is_refused_and_not_kept(server, kind):
    server.routes["/query"] = server.routes["/mirror"] = HOSTILE[kind]
    begun = time.monotonic()
    with pytest.raises(ArchiveError, match="cds/moc") as caught:
        outlines.outline(SDSS)
    assert time.monotonic() - begun < 20 and len(str(caught.value)) < 600 and cache.size() == 0


def test_a_moc_is_a_survey_like_the_others(server):
    found = af.fetch(af.Targets([Target("field", identifier=SDSS)]), [outlines.SERVER], progress=False)
    sky_map = found.get("cds/moc", "field")
    assert np.array_equal(regions.merged(regions.credible_region(sky_map, 1).ranges).ranges, regions.region_of(FIELD).ranges)
    order = np.log2(sky_map.uniq // 4) // 2
    assert np.sum(sky_map.density * 4 * np.pi / (12 * 4**order)) == pytest.approx(1) and "MOCServer" in found.cite()


@pytest.mark.parametrize("seed", range(4))
def test_coarser_ranges_hold_all_and_little_more(seed):
    rng = np.random.default_rng(seed)
    cells = regions.merged(np.sort(rng.choice(12 * 4**9, (400, 1), replace=False), axis=0) * 4**20 + np.array([[0, 4**20]]))
    for most in (10_000, 300, 20):
        order, ranges = outlines.coarser(cells, most)
        assert len(ranges) <= most or order == 0
        whole = regions.merged(ranges.astype(np.int64) << 2 * (29 - order))
        ra, dec = regions.centres(29, np.concatenate([cells.ranges[:, 0], cells.ranges[:, 1] - 1]))
        assert whole.contains(ra, dec).all() and whole.area >= cells.area * (1 - 1e-12)
        by_order = outlines.cells_by_order(order, ranges)
        assert np.array_equal(regions.region_of(by_order).ranges, whole.ranges) and max(map(int, by_order)) <= order
    assert outlines.coarser(cells, 10_000)[0] == 11


def test_surveys_say_where_their_coverage_is_known_exactly():
    rows = {row["name"]: str(row["coverage"]) for row in af.list_surveys()}
    assert rows["hips/sdss"].endswith(f"; exactly: MOC {SDSS}") and "MOC" not in rows["2mass/table"] and "MOC" not in rows["practice/table"]
    assert outlines.moc_of(get("hips/sdss")) == SDSS and outlines.moc_of(get("2mass/table")) == outlines.moc_of(get("practice/table")) == ""
    assert sum(bool(row["moc"]) for row in fetch_facts.survey_rows()) >= 15


# in the widget -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_view")
def test_coverages_come_in_the_background_for_ticked_surveys(server):
    gate = threading.Event()
    server.routes["/query"] = lambda asked: (gate.wait(20), moc_file())[1]
    with shown(af.FetchWidget(surveys=["practice/table"])) as widget:
        assert widget.outlines == {} and server.asked == [] and widget._outliner._thread is None
        widget.surveys = ["practice/table", "hips/sdss", "2mass/table"]
        widget.count = 4
        widget.look()  # not held up
        assert widget.sky["n"] == 4 and widget.outlines == {}
        gate.set()
        assert widget.wait_for_outlines()
        got = widget.outlines[SDSS]
        assert set(widget.outlines) == {SDSS} and got["area"] == pytest.approx(regions.region_of(FIELD).area, abs=1e-3)
        ranges = values_of(got["ranges"]).astype(np.int64) << 2 * (29 - got["order"])
        assert np.array_equal(ranges, regions.region_of(FIELD).ranges)
        widget.surveys = ["practice/table"]
        widget.surveys = ["hips/sdss"]
        assert widget.wait_for_outlines() and len(server.asked) == 1


@pytest.mark.usefixtures("any_view")
def test_without_the_server_the_coverage_stays_rough_with_a_note(server):
    server.close()
    with shown(af.FetchWidget(surveys=["hips/sdss", "hips/panstarrs", "hips/lotss", "practice/table"])) as widget:
        assert widget.wait_for_outlines()
        notes = [one["note"] for one in widget.outlines.values()]
        assert len(notes) == 3 and not widget.error and "cannot be reached (connection refused" in notes[0]
        assert all("HTTP" not in note and "cds/moc" not in note for note in notes)
        tried = dict(widget._tried)
        widget.surveys = [*widget.surveys, "practice/image"]
        assert widget.wait_for_outlines() and widget._tried == tried  # not hammered


@pytest.mark.usefixtures("any_view")
def test_closing_does_not_wait_for_a_coverage(server):
    server.routes["/query"] = lambda asked: (time.sleep(8), moc_file())[1]
    widget = af.FetchWidget(surveys=["hips/sdss"])
    until(lambda: server.asked)
    begun = time.monotonic()
    widget.close()
    assert time.monotonic() - begun < 3
    until(lambda: not widget._outliner._thread.is_alive(), 5)


# which sky -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "version", "hindered", "kind", "words"),
    [
        ("auto", "", "", "plot", "pip install ipyaladin"),
        ("aladin", "", UNKNOWN, "plot", "pip install ipyaladin"),
        ("auto", "0.5.2", "", "plot", "0.5.2 is too old"),
        ("plot", "0.8.1", "", "plot", None),
        ("auto", "0.8.1", UNKNOWN, "plot", None),
        ("auto", "0.8.1", "this browser is offline", "plot", "cannot be shown: this browser is offline"),
        ("aladin", "1.0", "it did not come from the network in time", "plot", "did not come from the network in time"),
        ("auto", "0.8.1", "", "aladin", "from the CDS"),
        ("aladin", "0.10.0", "", "aladin", "from the CDS"),
    ],
)
def test_which_sky_is_shown_and_how_to_get_the_other(wanted, version, hindered, kind, words):
    shown_kind, said = sky_choice(wanted, version, hindered)
    assert shown_kind == kind and (words in said if words else said == "") and "\n" not in said and len(said) < 160


class Fake:
    """The part of ipyaladin 0.8.1's `Aladin` that is used, without a page."""

    made: list["Fake"] = []

    def __init__(self, **options):
        self.options, self.calls, self.heard, self.watched = options, [], [], {}
        self._is_loaded, self.model_id = False, f"model-{len(Fake.made)}"
        Fake.made.append(self)

    def on_msg(self, call):
        self.heard.append(call)

    def observe(self, call, name):
        self.watched[name] = call

    def load(self):
        self._is_loaded = True
        self.watched["_is_loaded"]({"new": True})

    def add_table(self, table, **options):
        self.calls.append(("table", table, options))

    def add_moc(self, moc, **options):
        self.calls.append(("moc", moc, options))

    def remove_overlay(self, name):
        self.calls.append(("remove", name))

    def selection(self, shape):
        self.calls.append(("selection", shape))

    def close(self):
        self.calls.append(("close",))


@pytest.fixture
def fake(monkeypatch):
    module = type(sys)("ipyaladin")
    module.Aladin = Fake
    monkeypatch.setitem(sys.modules, "ipyaladin", module)
    monkeypatch.setattr(fetch_aladin, "installed", lambda: "0.8.1")
    Fake.made.clear()
    return Fake


@pytest.mark.usefixtures("any_view")
def test_targets_and_coverages_are_laid_over_aladin_lite_and_a_selection_there_is_one_here(server, fake):
    targets = af.Targets.from_table({"object_id": ["a", "b <b>", "c"], "ra": [359.9, 0.1, 0.0], "dec": [1.0, 1.2, 1.4]})
    with shown(af.FetchWidget(targets, surveys=["hips/sdss", "practice/table"])) as widget:
        assert fake.made == [] and widget.sky_kind == "plot" and widget.has_aladin  # not before a page says that it can
        widget.set_state({"hindered": ""})
        until(lambda: widget.aladin)
        assert widget.sky_kind == "aladin" and widget.wait_for_outlines()
        (aladin,) = fake.made
        assert aladin.calls == [] and abs(aladin.target.ra.wrap_at("180d").deg) < 0.05 and 0.3 < aladin.fov < 2  # nothing is queued in ipyaladin itself
        aladin.load()
        kinds = {call[0]: call for call in aladin.calls}
        assert set(kinds) == {"table", "moc"} and list(kinds["table"][1]["name"]) == ["a", "b <b>", "c"]
        assert np.array_equal(regions.region_of(kinds["moc"][1]).ranges, regions.region_of(FIELD).ranges) and kinds["moc"][2]["name"] == "hips/sdss"
        widget.set_state({"tool": "circle"})
        until(lambda: ("selection", "circle") in aladin.calls and widget.tool == "")
        for content, chosen in (
            ({"event_type": "select", "content": [{"ra": 0, "dec": 1, "data": {"row": "2", "name": "c"}}, {"ra": 1, "dec": 1, "data": {"row": 0}}, {"ra": 2, "dec": 2, "data": {"main_id": "other"}}]}, ("a", "c")),
            ({"event_type": "select", "content": [{"data": {"row": 99}}, {"data": {"row": "-1"}}, {"data": {"row": "1e9"}}, {"data": None}, 7, {"data": {"row": [1]}}, {"data": {"row": "1"}}]}, ("b <b>",)),
        ):  # fmt: skip
            aladin.heard[0](aladin, content, [])
            until(lambda chosen=chosen: widget.selection.ids == chosen)
        for rubbish in ({"event_type": "click"}, {"event_type": "select"}, None, {"event_type": "select", "content": "x"}):
            aladin.heard[0](aladin, rubbish, [])
        assert widget.wait(20) and from_bits(widget.selected, 3).tolist() == [False, True, False]
        widget.keep_selected()
        assert widget.targets.ids == ("b <b>",) and [c[0] for c in aladin.calls[-2:]] == ["remove", "table"]
        widget.surveys = ["practice/table"]
        assert ("remove", "hips/sdss") in aladin.calls
        widget.set_state({"aladin": ""})  # a page loaded anew knows nothing of what was told before
        until(lambda: len(fake.made) == 2 and widget.aladin == "model-1")
        assert ("close",) in aladin.calls
        widget.set_state({"hindered": "it did not come from the network in time"})
        until(lambda: widget.sky_kind == "plot")
        assert "did not come" in widget.sky_words
    assert ("close",) in fake.made[1].calls


@pytest.mark.usefixtures("any_view")
def test_ipyaladin_is_not_imported_until_it_is_shown(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipyaladin", None)  # importing it fails
    monkeypatch.setattr(fetch_aladin, "installed", lambda: "0.8.1")
    with shown(af.FetchWidget(surveys=["practice/table"])) as widget:
        assert widget.sky_kind == "plot" and widget.sky_words == ""
        widget.set_state({"hindered": ""})
        until(lambda: "fails" in widget.sky_words)
        assert widget.sky_kind == "plot" and not widget.error
    with pytest.raises(MissingExtraError, match="pip install ipyaladin"):
        fetch_aladin.AladinSky(lambda rows: None)


@pytest.mark.usefixtures("any_view")
def test_the_installed_ipyaladin_takes_what_we_tell_it(server):
    """Against the real package, without a page: the messages that its page would get."""
    pytest.importorskip("ipyaladin", reason="ipyaladin is not installed (optional: pip install ipyaladin)")
    targets = af.Targets.from_table({"object_id": ["a", "b"], "ra": [359.9, 0.1], "dec": [1.0, 1.2]})
    picked = []
    sky = fetch_aladin.AladinSky(picked.append)
    sent = []
    sky.widget.send = lambda content, buffers=None: sent.append((content, buffers))
    sky.show(targets)
    sky.cover({"hips/sdss": {"3": [1, 2]}})
    assert sent == [] and sky.widget._fov == pytest.approx(2.4 * 0.14, abs=0.1)
    sky.widget._is_loaded = True
    assert [content["event_name"] for content, _ in sent] == ["add_table", "add_MOC_from_dict"]
    assert b"VOTABLE" in bytes(sent[0][1][0]) and sent[0][0]["options"]["name"] == "targets" and sent[1][0]["moc_dict"] == {"3": [1, 2]}
    sky.show(targets.select(["b"]))
    sky.cover({})
    sky.pick("rectangle")
    sky.pick("circle")
    assert [content["event_name"] for content, _ in sent[2:]] == ["remove_overlay", "add_table", "remove_overlay", "trigger_selection", "trigger_selection"]
    sky.widget._handle_custom_msg({"event_type": "select", "content": [{"ra": 0.1, "dec": 1.2, "data": {"row": "0", "name": "b"}, "x": 1, "y": 1}]}, [])
    assert picked == [[0]]
    sky.close()


def test_every_survey_with_a_moc_names_one_that_can_be_asked_for():
    for name in SURVEYS:
        moc = outlines.moc_of(get(name))
        assert not moc or moc.startswith(("https://", "http://")) or ("/" in moc and " " not in moc), name
