"""Parts of the sky: what lies in them, against brute force; and that a search cell by cell loses and doubles nothing."""

import gzip
import io
import json
from importlib.util import find_spec
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy_healpix import healpix_to_lonlat, lonlat_to_healpix
from hypothesis import example, given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab import region_search, regions
from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.modalities import SkyMap
from astrofuse_lab.region_search import collected
from astrofuse_lab.regions import Circle, credible_region, region_of
from astrofuse_lab.targets import Target, Targets

PLACES = st.sampled_from([(0.0, 0.0), (45.0, 0.0), (90.0, 41.8103), (359.9999, -41.81), (12.0, 90.0), (0.0, -90.0), (135.0, 66.44), (180.0, 10.0)])
"""Corners, poles and edges of the twelve base cells among them."""


def sphere(n, seed, centre=None, spread=1.0):
    rng = np.random.default_rng(seed)
    if centre is None:
        return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    ra, dec = centre
    place = SkyCoord(ra * u.deg, dec * u.deg).directional_offset_by(rng.uniform(0, 360, n) * u.deg, spread * np.sqrt(rng.uniform(0, 1, n)) * u.deg)
    return place.ra.deg, place.dec.deg


class Sky:
    """A catalogue that answers circles, `most` objects at once at the most, and counts what it is asked."""

    name = "test/table"

    def __init__(self, ra, dec, most=10**9):
        self.place = SkyCoord(ra * u.deg, dec * u.deg)
        self.rows = [Target(f"o{i}", float(a), float(d)) for i, (a, d) in enumerate(zip(ra, dec, strict=True))]
        self.most, self.asked = most, 0

    def objects_in(self, ra, dec, radius, n):
        assert n <= self.most, "a service would cut this answer"
        assert 0 < radius <= 30
        self.asked += 1
        inside = np.flatnonzero(self.place.separation(SkyCoord(ra * u.deg, dec * u.deg)).deg <= radius)
        return Targets([self.rows[i] for i in inside[:n]])


# cells ---------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), PLACES)
def test_a_cell_lies_in_its_circle(seed, order, centre):
    ra, dec = sphere(400, seed, centre, 20.0)
    cells = regions.cells_at(ra, dec, order)
    lon, lat, reach = regions.cell_circles(order, cells)
    assert np.all(SkyCoord(ra, dec, unit="deg").separation(SkyCoord(lon, lat, unit="deg")).deg <= reach)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**6)), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
@example([(0, 0), (1, 0), (1, 5), (0, 1)], 0)
def test_a_moc_contains_what_its_cells_contain(cells, seed):
    cells = [(order, cell % (12 * 4**order)) for order, cell in cells]
    ra, dec = sphere(500, seed)
    truth = np.zeros(500, dtype=bool)
    for order, cell in cells:
        truth |= lonlat_to_healpix(ra * u.deg, dec * u.deg, 2**order, order="nested") == cell
    text = " ".join(f"{order}/{cell}" for order, cell in cells)
    by_order = {str(order): [c for o, c in cells if o == order] for order, _ in cells}
    uniq = np.array([4 * 4**order + cell for order, cell in cells])
    for region in (region_of(text), region_of(by_order), region_of(json.dumps(by_order).encode()), regions.cells_of(uniq)):
        assert np.array_equal(region.contains(ra, dec), truth)
        every = np.arange(192)
        inside = np.array([(lonlat_to_healpix(ra * u.deg, dec * u.deg, 4, order="nested")[truth] == c).any() for c in every])
        share = region.share(2, every)
        assert np.all(share[inside] > 0) and share.sum() * regions.SKY == pytest.approx(region.area)


@settings(max_examples=40, deadline=None)
@given(PLACES, st.floats(0.01, 180), st.integers(1, 4))
def test_a_circle_has_a_share_of_every_cell_it_touches(centre, radius, order):
    circle = Circle(*centre, radius)
    ra, dec = sphere(800, 1)
    inside = circle.contains(ra, dec)
    assert np.array_equal(inside, SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*centre, unit="deg")).deg <= radius)
    share = circle.share(order, np.arange(12 * 4**order))
    assert np.all(share[np.unique(regions.cells_at(ra[inside], dec[inside], order))] > 0)
    assert circle.area == pytest.approx(2 * np.pi * (1 - np.cos(np.radians(radius))) * (180 / np.pi) ** 2, rel=1e-6)


# reading -------------------------------------------------------------------------------------------

MOC_FILE = Path(find_spec("astroquery").origin).parent / "mocserver" / "tests" / "data" / "moc.fits"


def table(name, values, **header):
    unit = fits.BinTableHDU.from_columns([fits.Column(name, "K", array=np.asarray(values))])
    unit.header.update(header)
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(file)
    return file.getvalue()


def test_a_moc_of_the_cds_recorded_answer():
    """From astroquery's own test data: all cells, one by one, are inside; their neighbours that are not listed are not."""
    if not MOC_FILE.exists():
        pytest.skip("astroquery came without its test data")
    region = region_of(MOC_FILE)
    uniq = np.asarray(fits.getdata(MOC_FILE)["UNIQ"]).astype(np.int64)
    order = (np.log2(uniq // 4) // 2).astype(int)
    index = uniq - 4 * 4**order
    assert region.area == pytest.approx(np.sum(1 / (12 * 4.0**order)) * regions.SKY)
    for k in np.unique(order):
        lon, lat = healpix_to_lonlat(index[order == k], 2**k, order="nested")
        assert region.contains(lon.deg, lat.deg).all()
    assert region_of(gzip.compress(MOC_FILE.read_bytes())).area == region.area


def test_a_range_moc_documented_format(tmp_path):
    one, shift = region_of("3/7-9 5/1000"), 2 * (29 - 3)
    content = table("RANGE", [7 << shift, 10 << shift, 1000 << 48, 1001 << 48], MOCVERS="2.0", MOCDIM="SPACE", ORDERING="RANGE", COORDSYS="C", MOCORD_S=5)
    path = tmp_path / "moc.fits"
    path.write_bytes(content)
    assert np.array_equal(region_of(path).ranges, one.ranges)
    (tmp_path / "moc.txt").write_text("3/7 8-9\n5/1000")
    (tmp_path / "moc.json").write_text('{"3": [7, 8, 9], "5": [1000]}')
    for name in ("moc.txt", "moc.json"):
        assert np.array_equal(region_of(str(tmp_path / name)).ranges, one.ranges)


def test_a_moc_of_mocpy_is_taken_by_its_own_words():
    class Moc:
        def serialize(self, format):
            return {"json": {"3": [7, 8, 9], "5": [1000]}}[format]

    assert np.array_equal(region_of(Moc()).ranges, region_of("3/7-9 5/1000").ranges)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("3/900", "no cells 900"), ("30/1", "order 30"), ("3/", "empty"), ("3/5-4", "no cells 5 to 4"), (b"hello", "no MOC"), (b"{}", "empty"), (b'{"3": [1.5, "x"]}', "MOC"), (b"[1]", "MOC"),
        (b'{"-1": [1]}', "order -1"), (table("UNIQ", [3], ORDERING="NUNIQ"), "NUNIQ number"), (table("UNIQ", [4 * 4 + 5], ORDERING="NUNIQ", COORDSYS="G"), "not ICRS"),
        (table("X", [1, 2], ORDERING="RANGE", MOCDIM="TIME"), "MOCDIM 'TIME'"), (table("X", [2, 1], ORDERING="RANGE"), "a range"), (table("X", [1, 2, 3], ORDERING="RANGE"), "MOC"),
        (table("X", [1]), "neither a MOC"), (table("UNIQ", [20], ORDERING="NUNIQ")[:-2876], "claims"), ("nowhere.fits", "cannot be read"), (7.5, "no file"),
        (b"SIMPLE  =" + b" " * 3000, "FITS"),
    ],
)  # fmt: skip
def test_what_is_no_region(shape, words):
    with pytest.raises(TargetError, match=words):
        region_of(shape)


def test_a_huge_range_takes_no_memory():
    assert region_of(f"29/0-{12 * 4**29 - 1}").area == pytest.approx(regions.SKY)


# sky maps ------------------------------------------------------------------------------------------


def sky_map(seed=0, order=3):
    rng = np.random.default_rng(seed)
    coarse = np.arange(4 * 4**order + 10, 4 * 4**order + 12 * 4**order)  # the first ten cells are split once more
    fine = 4 * 4 ** (order + 1) + np.arange(40)
    uniq = rng.permutation(np.concatenate([coarse, fine])).astype(np.int64)
    density = rng.gamma(0.2, size=uniq.size)
    area = np.where(uniq < 4 * 4 ** (order + 1), np.pi / 3 / 4**order, np.pi / 3 / 4 ** (order + 1))
    return SkyMap(uniq, density / np.sum(density * area)), area


@pytest.mark.parametrize("level", [0.01, 0.5, 0.9, 0.999, 1.0])
def test_the_credible_region_is_the_smallest_that_holds_the_probability(level):
    one, area = sky_map()
    region = credible_region(one, level)
    mass = one.density * area
    by = np.argsort(-one.density)
    count = np.count_nonzero(one.density) if level == 1 else np.flatnonzero(np.cumsum(mass[by]) >= level * (1 - 1e-12))[0] + 1
    assert len(region.ranges) == count and region.mass.sum() == pytest.approx(mass[by[:count]].sum())
    assert region.mass.sum() >= level * (1 - 1e-9) and region.mass.sum() - mass[by[count - 1]] < level + 1e-9
    assert region.share(0, np.arange(12)).sum() == pytest.approx(region.mass.sum())
    assert region.area == pytest.approx(area[by[:count]].sum() * (180 / np.pi) ** 2)


@pytest.mark.parametrize("level", [0, -1, 1.1, True, "0.9", float("nan")])
def test_a_level_that_is_no_probability(level):
    with pytest.raises(InputError, match="level"):
        credible_region(sky_map()[0], level)


@pytest.mark.parametrize("ordering", ["RING", "NESTED"])
def test_a_map_in_a_file_packed(ordering, tmp_path):
    lon, lat = healpix_to_lonlat(np.arange(768), 8, order=ordering.lower())
    prob = np.where(SkyCoord(lon, lat).separation(SkyCoord(80, -69, unit="deg")).deg < 15, 1.0, 0.0)
    unit = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", array=prob / prob.sum())])
    unit.header.update({"NSIDE": 8, "ORDERING": ordering, "COORDSYS": "C", "PIXTYPE": "HEALPIX"})
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(file)
    path = tmp_path / "map.fits.gz"
    path.write_bytes(gzip.compress(file.getvalue()))
    found = af.Targets.from_region(shape=path, level=0.9, n=60, time=("2020-01-01", "2020-01-08"))
    apart = SkyCoord(found.ra, found.dec, unit="deg").separation(SkyCoord(80, -69, unit="deg")).deg
    assert len(found) == 60 and apart.max() < 20 and apart.max() > 8 and found[0].time == pytest.approx((58849.0, 58856.0))


def test_objects_of_a_map_go_where_the_probability_is():
    uniq = np.array([4 * 16 + 3, 4 * 16 + 100], dtype=np.int64)
    one = SkyMap(uniq, np.array([0.8, 0.2]) / (np.pi / 3 / 16))
    found = af.Targets.from_region(shape=one, level=1.0, n=100)
    cells = regions.cells_at(found.ra, found.dec, 2)
    assert np.count_nonzero(cells == 3) == 80 and np.count_nonzero(cells == 100) == 20
    assert set(regions.cells_at(*(lambda t: (t.ra, t.dec))(af.Targets.from_region(shape=one, level=0.7, n=50)), 2)) == {3}


# searching -----------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(PLACES, st.floats(0.05, 60), st.integers(0, 2**32 - 1), st.sampled_from([20, 200, 5000]))
def test_all_objects_of_a_circle_are_found_once(centre, radius, seed, most):
    """On borders and poles, however few objects an answer may hold."""
    ra, dec = sphere(600, seed, centre, min(1.3 * radius, 179))
    sky, circle = Sky(ra, dec, most), Circle(*centre, radius)
    region_search.LIMIT, before = most, region_search.LIMIT
    try:
        found = collected(sky.objects_in, circle, None, sky.name)
        some = collected(sky.objects_in, circle, 37, sky.name)
    finally:
        region_search.LIMIT = before
    truth = {t.object_id for t, inside in zip(sky.rows, circle.contains(ra, dec), strict=True) if inside}
    assert set(found.ids) == truth and len(found) == len(truth)
    assert len(some) == min(37, len(truth)) and set(some.ids) <= truth


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 767), min_size=1, max_size=20), st.integers(0, 2**32 - 1), st.sampled_from([30, 5000]))
def test_all_objects_of_a_moc_are_found_once(cells, seed, most):
    region = regions.cells_of(np.array(cells) + 4 * 64)
    ra, dec = sphere(2000, seed)
    sky = Sky(ra, dec, most)
    region_search.LIMIT, before = most, region_search.LIMIT
    try:
        found = collected(sky.objects_in, region, None, sky.name)
    finally:
        region_search.LIMIT = before
    assert sorted(found.ids) == sorted(t.object_id for t, inside in zip(sky.rows, region.contains(ra, dec), strict=True) if inside)


def test_objects_on_the_very_borders_belong_to_one_cell():
    step = np.linspace(0, 360, 721)
    ra, dec = (np.concatenate(v) for v in zip(*((step, np.full(721, d)) for d in (-90.0, -41.8103148957786, 0.0, 41.8103148957786, 90.0)), strict=True))
    sky = Sky(ra % 360, dec)
    found = collected(sky.objects_in, Circle(0.0, 0.0, 180.0), None, sky.name)
    assert sorted(found.ids) == sorted(t.object_id for t in sky.rows)


def test_few_objects_of_a_large_region_take_few_questions_and_spread():
    ra, dec = sphere(20000, 5)
    sky = Sky(ra, dec)
    found = collected(sky.objects_in, Circle(30.0, 10.0, 90.0), 12, sky.name)
    assert len(found) == 12 and sky.asked <= 14
    assert len({int(c) for c in regions.cells_at(found.ra, found.dec, 1)}) >= 8


def test_a_crowd_that_cannot_be_parted_is_said(monkeypatch):
    monkeypatch.setattr(region_search, "LIMIT", 10)
    sky = Sky(np.full(30, 10.0), np.full(30, 10.0), 10)
    with pytest.raises(TargetError, match="cannot be parted"):
        collected(sky.objects_in, Circle(10.0, 10.0, 1.0), None, sky.name)


def test_too_many_objects_are_said(monkeypatch):
    monkeypatch.setattr(region_search, "MOST", 100)
    sky = Sky(*sphere(500, 1))
    with pytest.raises(TargetError, match="more than 100 objects"):
        collected(sky.objects_in, Circle(10.0, 10.0, 170.0), None, sky.name)


def test_a_catalogue_without_names_is_numbered_anew():
    class Nameless(Sky):
        def objects_in(self, ra, dec, radius, n):
            found = super().objects_in(ra, dec, radius, n)
            return Targets(Target(f"test/table-{i:05d}", t.ra, t.dec) for i, t in enumerate(found))

    sky = Nameless(*sphere(500, 1))
    found = collected(sky.objects_in, Circle(10.0, 10.0, 170.0), None, sky.name)
    assert len(found) == len(set(found.ids)) > 480


@pytest.mark.parametrize("n", [None, 700])
def test_a_service_that_cuts_its_answers_loses_nothing(n):
    """Services that send fewer rows than they are asked for, and say so (Gaia: 2,000), are asked for smaller circles."""

    class Cutting(Sky):
        gives, bands, citation, licence, release, simulated, batch = dict, (), "", "", "", True, 1
        query = read = None

        def objects_in(self, ra, dec, radius, n):
            found = super().objects_in(ra, dec, radius, min(n, 50))
            found.whole = len(found) < 50
            return found

    sky = Cutting(*sphere(1500, 3, (10.0, 10.0), 14.0))
    found = Targets.from_region((10.0, 10.0), 15 * u.deg, n=n, survey=sky)
    truth = {t.object_id for t in sky.rows if Circle(10.0, 10.0, 15.0).contains(np.array([t.ra]), np.array([t.dec]))[0]}
    assert len(found) == len(set(found.ids)) == (len(truth) if n is None else n) and set(found.ids) <= truth


def test_two_objects_of_one_name_are_both_kept():
    class Twins(Sky):
        def objects_in(self, ra, dec, radius, n):
            found = super().objects_in(ra, dec, radius, n)
            return Targets(Target(f"J{t.ra % 90:.0f}", t.ra, t.dec) for t in found)

    sky = Twins(np.array([10.0, 100.0, 40.0]), np.array([5.0, 5.0, 5.0]))
    found = collected(sky.objects_in, Circle(60.0, 5.0, 80.0), None, sky.name)
    assert sorted(found.ids) == ["J10 (10.000000 +5.000000)", "J10 (100.000000 +5.000000)", "J40"]


def test_the_practice_sky_beyond_what_one_answer_holds():
    found = af.Targets.from_region((0.0, 89.0), 3600 * 2.5, n=None)
    from astrofuse_lab.surveys.practice import catalogue

    assert set(found.ids) == set(catalogue.objects_in(0.0, 89.0, 2.5).ids)
    wide = af.Targets.from_region("180 -30", 50 * u.deg, n=30)
    assert len(wide) == 30 and SkyCoord(wide.ra, wide.dec, unit="deg").separation(SkyCoord(180, -30, unit="deg")).deg.max() <= 50


def test_a_survey_object_and_one_that_cannot_be_searched():
    class Listed(Sky):
        gives, bands, citation, licence, release, simulated, batch = dict, (), "", "", "", True, 1
        query = read = None

    found = af.Targets.from_region((10.0, 10.0), 3600 * 20, n=5, survey=Listed(*sphere(3000, 2)))
    assert len(found) == 5
    with pytest.raises(TargetError, match="no object in a region"):
        af.Targets.from_region(shape="8/100", survey=Listed(np.array([200.0]), np.array([80.0])))
    with pytest.raises(InputError, match=r"search a region.*practice/table"):
        af.Targets.from_region((10.0, 10.0), 100, survey="sdss/spectrum")


@pytest.mark.parametrize("given", [{}, {"center": (1, 2), "radius": 3, "shape": "3/1"}, {"center": (1, 2), "radius": None}, {"shape": "3/1", "n": 0}])
def test_a_region_is_a_circle_or_a_shape(given):
    with pytest.raises(InputError, match=r"circle or a shape|no angle|n=0"):
        af.Targets.from_region(**given)
