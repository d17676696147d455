"""Light curves cleaned, brought to the barycentre and interpolated, beside astropy and scikit-learn in loops over the curves.

Gaussian processes: both find amplitude and length by likelihood, and give mean and deviation at 100 moments. Ours must be as likely,
and at its own amplitude and length scikit-learn must say the same. Clipping: the same epochs. Barycentre: the same times.
"""

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from reporting import Line, interleaved

AT = np.linspace(0, 100, 100)


def curves(n: int, epochs: int) -> tuple[Any, Any, Any]:
    """Transients of many lengths: time, flux and error, (curve, epoch)."""
    rng = np.random.default_rng(0)
    time = np.sort(rng.uniform(0, 100, (n, epochs)), axis=1)
    return time, 100 * np.exp(-(((time - 40) / rng.uniform(5, 30, (n, 1))) ** 2) / 2) + rng.normal(0, 3, time.shape), np.full(time.shape, 3.0)


def processes(time: Any, flux: Any, error: Any, kept: dict[str, Any]) -> None:
    from astrofuse_lab.alignment import gaussian_processes as gp

    kept["ours"] = gp.fit(time, flux, error, np.full(time.shape, 4770.0), np.ones(time.shape, bool))
    kept["read"] = gp.predict(kept["ours"], AT, [4770.0])


def learned(time: Any, flux: Any, error: Any, kept: dict[str, Any]) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    kept["likelihood"] = []
    for t, f, e in zip(time, flux, error, strict=True):
        size = np.sqrt(np.mean(f**2))
        kernel = ConstantKernel(1.0, (1e-6, 1e6)) * Matern(10.0, nu=1.5, length_scale_bounds=(1e-2, 1e4))
        made = GaussianProcessRegressor(kernel, alpha=(e / size) ** 2).fit(t[:, None], f / size)
        made.predict(AT[:, None], return_std=True)
        kept["likelihood"].append(made.log_marginal_likelihood_value_ - len(t) * np.log(size))


def worst(time: Any, flux: Any, error: Any, kept: dict[str, Any]) -> float:
    """Largest of what ours is less likely by, and of differences at the same amplitude and length, in units of the error."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern

    ours, (mean, variance, _) = kept["ours"], kept["read"]
    off = [float((np.array(kept["likelihood"]) - ours.likelihood).max())]
    for i in range(min(20, len(time))):
        kernel = ConstantKernel(ours.amplitude[i] ** 2) * Matern(ours.length[i], nu=1.5)
        same = GaussianProcessRegressor(kernel, alpha=error[i] ** 2, optimizer=None).fit(time[i][:, None], flux[i])
        value, spread = same.predict(AT[:, None], return_std=True)
        off += [np.abs(value - mean[i, 0]).max() / 3, np.abs(spread - np.sqrt(variance[i, 0])).max() / 3]
    return float(max(off))


def clipped(values: Any, kept: dict[str, Any]) -> None:
    from astrofuse_lab.alignment.outliers import sigma_clip

    series = np.repeat(np.arange(len(values)), values.shape[1])
    kept["ours"] = sigma_clip(values.ravel(), series, np.ones(values.size, bool))


def clipped_by_astropy(values: Any, kept: dict[str, Any]) -> None:
    from astropy.stats import sigma_clip

    kept["astropy"] = np.concatenate([~np.ma.getmaskarray(sigma_clip(one, sigma=3, maxiters=5)) for one in values])


def centred(time: Any, ra: Any, dec: Any, kept: dict[str, Any]) -> None:
    from astrofuse_lab.alignment.clocks import barycentric

    kept["ours"] = barycentric(time.ravel(), np.repeat(ra, time.shape[1]), np.repeat(dec, time.shape[1]), "UTC", "palomar")


def centred_by_astropy(time: Any, ra: Any, dec: Any, kept: dict[str, Any]) -> None:
    import astropy.units as u
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    from astrofuse_lab.alignment.clocks import OBSERVATORIES

    lon, lat, height = OBSERVATORIES["palomar"]
    site = EarthLocation.from_geodetic(lon * u.deg, lat * u.deg, height * u.m)
    found = []
    with iers.conf.set_temp("auto_download", False), iers.conf.set_temp("auto_max_age", None):
        for t, a, d in zip(time, ra, dec, strict=True):
            when = Time(t, format="mjd", scale="utc", location=site)
            found.append((when.tdb + when.light_travel_time(SkyCoord(a * u.deg, d * u.deg))).mjd)
    kept["astropy"] = np.concatenate(found)


def lines(quick: bool) -> Iterator[Line]:
    """Processes of 40 and of 120 epochs, clipping, barycentre."""
    pairs = 1 if quick else 3
    kept: dict[str, Any] = {}
    for epochs, goal in ((40, 1.5), (120, 1.0)):
        given = curves(50 if quick else 300, epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds, theirs = interleaved(partial(processes, *given, kept), partial(learned, *given, kept), pairs)
            error = worst(*given, kept)
        work = f"Gaussian processes through {len(given[0])} light curves of {epochs} epochs, fitted and read at {len(AT)} moments"
        yield Line(work, "scikit-learn GaussianProcessRegressor, in a loop", error < 1e-3, error, 1e-3, seconds, theirs, goal)
    rng = np.random.default_rng(0)
    values = rng.standard_t(2, (500 if quick else 5_000, 100))
    seconds, theirs = interleaved(partial(clipped, values, kept), partial(clipped_by_astropy, values, kept), pairs)
    differ = float((kept["ours"] != kept["astropy"]).mean())
    yield Line(f"sigma clipping of {len(values):,} series of 100 epochs", "astropy.stats.sigma_clip, in a loop", differ == 0, differ, 0.0, seconds, theirs, 1.0)
    n = 100 if quick else 1_000
    sky = rng.uniform(52000, 60000, (n, 60)), rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    seconds, theirs = interleaved(partial(centred, *sky, kept), partial(centred_by_astropy, *sky, kept), pairs)
    off = float(np.abs(kept["ours"] - kept["astropy"]).max() * 86400)
    work = f"times of {n:,} light curves of 60 epochs brought to the barycentre (error in seconds)"
    yield Line(work, "astropy light_travel_time, in a loop", off < 1e-5, off, 1e-5, seconds, theirs, 2.0)
