"""Sky maps of the third observing run beside the areas that were published with them."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

import astrofuse_lab as af
from astrofuse_lab.alignment.match_regions import in_map
from astrofuse_lab.modalities import SkyMap

pytestmark = pytest.mark.real
ORDER = 5


def test_levels_on_real_maps(mirror):
    from astropy_healpix import healpix_to_lonlat

    rows = pq.read_table(mirror / "gw_alerts" / "o3_bayestar_skymaps.parquet").to_pylist()
    n = 12 * 4**ORDER
    lon, lat = healpix_to_lonlat(np.arange(n), 1 << ORDER, order="nested")
    ratios = []
    for row in rows:
        held = row["prob_nside32_nested"]
        mass = np.asarray(json.loads(held) if isinstance(held, str) else held, dtype=np.float64)
        sky_map = SkyMap(np.arange(n) + 4 * 4**ORDER, mass / mass.sum() * n / (4 * np.pi), time=58600.0)
        got = in_map(lon.deg, lat.deg, sky_map)
        assert np.sum(mass[got.level <= 0.9]) / mass.sum() <= 0.9 < np.sum(mass[got.level <= 0.9]) / mass.sum() + mass.max() / mass.sum() + 1e-9
        ratios.append(np.sum(got.level <= 0.9) * 41252.96 / n / row["area90_deg2"])
        # the map's most probable place, and its opposite
        best = int(np.argmax(mass))
        table = af.match({"ra": [lon[best].deg, (lon[best].deg + 180) % 360], "dec": [lat[best].deg, -lat[best].deg]}, sky_map, level=0.5)
        assert table["inside"].tolist() == [True, False] or mass[best] / mass.sum() > 0.5
    # cells of 1.8 deg; the smallest maps are blurred by them
    assert len(ratios) == 23 and np.median(ratios) == pytest.approx(1, abs=0.15)
