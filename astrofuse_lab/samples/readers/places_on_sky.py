"""Which entries of a catalogue are one source."""

import numpy as np
from numpy.typing import NDArray


def same_place(ra: NDArray[np.float64], dec: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """A number per entry, equal where entries are linked by steps of at most `radius` (friends of friends).

    Parameters
    ----------
    ra, dec : array, (entry,)
        deg; an entry without position is alone.
    radius : float
        arcsec.

    Returns
    -------
    int64 array, (entry,)
        The row of the first entry of each source.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    lon, lat = np.radians(ra[known]), np.radians(dec[known])
    points = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)
    pairs = KDTree(points).query_pairs(2 * np.sin(np.radians(radius / 3600) / 2), output_type="ndarray") if len(known) else np.zeros((0, 2), dtype=np.int64)
    one, other = known[pairs[:, 0]], known[pairs[:, 1]]
    group = connected_components(coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(len(ra), len(ra))), directed=False)[1]
    return np.asarray(np.unique(group, return_index=True)[1][group], dtype=np.int64)
