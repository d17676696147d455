"""What the objects of a class look like on average: composites, as of DMDT images (Mahabal et al. 2017, arXiv:1709.06257, figure 4)."""

from typing import TYPE_CHECKING

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.samples.sample_set import SampleSet

if TYPE_CHECKING:
    from astropy.table import Table

FIELD = {"image": "flux", "spectrum": "flux", "series": "values", "table": "values"}
AT_ONCE = 1024


def class_means(samples: SampleSet, modality: str, by: str) -> "Table":
    """The mean of a modality over the objects of each class, value by value, of those whose value is known.

    ``class_means(samples.represent("light_curve", "dmdt", norm="l2"), "light_curve", "main_class")`` gives the composites of the lecture.

    Parameters
    ----------
    samples : SampleSet
    modality : str
        An image, spectrum, series or table, or a modality represented as one.
    by : str
        Column of classes; objects without one are left out.

    Returns
    -------
    astropy Table
        A row a class: ``class``, ``objects``, ``mean`` (as one object's values; NaN where no object of the class has one) and ``spread``, the standard deviation.

    Raises
    ------
    InputError
        For a modality whose values differ in number from object to object, or a column without a known class.
    """
    from astropy.table import Table

    kind = samples.spec(modality).kind
    if kind not in FIELD:
        raise InputError(f"{modality!r} is {kind}, which has no mean; represent it as an image or series first, e.g. samples.represent({modality!r}, 'dmdt').")
    label = samples.column(by)
    known = np.flatnonzero(~np.ma.getmaskarray(label) & samples.present(modality))
    if not len(known):
        raise InputError(f"no object has both {modality!r} and a known {by!r}.")
    classes, codes = np.unique(np.asarray(label.data)[known], return_inverse=True)
    shape = (len(classes), *samples.spec(modality).shape)
    count, total, square = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for begin in range(0, len(known), AT_ONCE):
        some = slice(begin, begin + AT_ONCE)
        arrays = samples.arrays(modality, known[some])
        values = np.asarray(arrays[FIELD[kind]], dtype=np.float64)
        good = arrays["mask"] & np.isfinite(values)
        values = np.where(good, values, 0.0)
        for sums, more in ((count, good), (total, values), (square, values**2)):
            np.add.at(sums, codes[some], more)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
        spread = np.sqrt(np.maximum(square / count - mean**2, 0.0))
    return Table({"class": classes, "objects": np.bincount(codes), "mean": mean, "spread": spread}, meta={"modality": modality, "by": by, "simulated": samples.simulated})
