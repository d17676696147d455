"""Targets from names and from a region of the sky. The door binds both to `Targets`."""

import importlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from astrofuse_lab.errors import ArchiveError, InputError, TargetError, UnknownNameError
from astrofuse_lab.surveys import SURVEYS
from astrofuse_lab.targets import Target, Targets

TIMEOUT = 20.0  # s
THREADS = 4
SESAME_EPOCH = 2000.0
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
POSITION = re.compile(rf"^%J\s+({NUMBER})\s+({NUMBER})", re.MULTILINE)
MOTION = re.compile(rf"^%P\s+({NUMBER})\s+({NUMBER})", re.MULTILINE)

REGIONS = {
    # provider: what finds its objects in a circle (ra, dec, radius in deg, n)
    "practice": "astrofuse_lab.surveys.practice.catalogue:objects_in",
    "gaia": "astrofuse_lab.surveys.gaia:objects_in",
}


def from_names(names: str | Iterable[str], *, errors: Literal["raise", "skip"] = "raise") -> Targets:
    """Targets by name.

    Names of the practice sky (``practice-00000042``) need no network. All others are asked of the Sesame resolver of
    the CDS (SIMBAD, then NED, then VizieR; https://vizier.cds.unistra.fr/vizier/doc/sesame.htx). Its positions are
    ICRS at epoch 2000; proper motions are taken over where SIMBAD has them.

    Parameters
    ----------
    names : str or iterable of str
    errors : {"raise", "skip"}
        What to do about names that do not resolve: raise, or leave them out and say so in ``targets.notes``.

    Returns
    -------
    Targets
        In the order of the names; a name given twice is kept once.

    Raises
    ------
    TargetError
        If names do not resolve; the message lists them, and how many did.
    ArchiveError
        If the resolver cannot be reached.
    """
    if errors not in ("raise", "skip"):
        raise InputError(f"errors={errors!r}: 'raise' or 'skip'.")
    wanted = list(dict.fromkeys(" ".join(str(n).split()) for n in ([names] if isinstance(names, str) else names)))
    wanted = [name for name in wanted if name]
    if not wanted:
        raise TargetError("no names were given. Type e.g. Targets.from_names(['M 31', '3C 273']).")
    with ThreadPoolExecutor(max_workers=min(THREADS, len(wanted))) as pool:
        outcomes = list(pool.map(_resolve, wanted))
    resolved = [t for t in outcomes if isinstance(t, Target)]
    lost = [f"{name!r} ({why})" for name, why in zip(wanted, outcomes, strict=True) if isinstance(why, str)]
    if lost and (errors == "raise" or not resolved):
        count = f"{len(lost)} of {len(wanted)} names did not resolve"
        advice = "Correct them, or leave them out with Targets.from_names(names, errors='skip')." if resolved else "Correct them, or give positions."
        raise TargetError(f"{count}: {', '.join(lost[:10])}{', ...' if len(lost) > 10 else ''}. {advice}")
    return Targets(resolved, [f"left out: {each}" for each in lost])


def from_region(center: Any, radius: Any, n: int = 100, survey: str = "practice/table") -> Targets:
    """The objects that a survey has in a circle on the sky.

    Parameters
    ----------
    center : SkyCoord, str or pair
        A SkyCoord; ``"150.1 2.2"`` in deg or ``"10:00:24 +02:12:00"`` in hours and deg; or (ra, dec) in deg.
    radius : Quantity or float
        A plain number is arcsec, as everywhere.
    n : int
        At most so many.
    survey : str
        A survey of the practice sky, or ``"gaia/table"``.

    Raises
    ------
    TargetError
        If the centre is no position, or no object lies in the circle.
    InputError
        If the survey cannot search regions, or `radius` or `n` cannot be used.
    """
    provider = survey.partition("/")[0]
    if provider not in REGIONS or survey not in SURVEYS:
        raise UnknownNameError("survey that can search a region", survey, [f"{name}/table" for name in REGIONS])
    try:
        degrees = float(radius.to_value("deg") if hasattr(radius, "to_value") else float(radius) / 3600)
    except (TypeError, ValueError) as error:
        raise InputError(f"radius={radius!r} is no angle ({error}). Type e.g. radius=0.5 * u.deg, or a plain number of arcsec.") from None
    if not 0 < degrees <= 180:
        raise InputError(f"radius={radius!r} is not an angle between 0 and 180 deg.")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise InputError(f"n={n!r} is not a number of objects, at least 1.")
    ra, dec = _center(center)
    module, _, name = REGIONS[provider].partition(":")
    targets = getattr(importlib.import_module(module), name)(ra, dec, degrees, n)
    if not len(targets):
        raise TargetError(f"{survey} has no object within {degrees * 3600:g} arcsec of RA {ra:.5f}, Dec {dec:.5f} deg. Give a larger radius.")
    assert isinstance(targets, Targets)
    return targets


def _center(center: Any) -> tuple[float, float]:
    """ICRS degrees from whatever names a position; TargetError if it is none."""
    if hasattr(center, "icrs"):
        if not getattr(center, "isscalar", True):
            raise TargetError(f"center holds {len(center)} positions; a region has one. Type center[0].")
        return float(center.icrs.ra.deg), float(center.icrs.dec.deg)
    try:
        ra, dec = _pair(center)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"center={center!r} is no position ({error}). Type (150.1, 2.2), '150.1 2.2' or '10:00:24 +02:12:00'; "
            "for a name: center = Targets.from_names(['M 31'])[0], then (center.ra, center.dec)."
        ) from None
    Targets([Target("center", ra, dec)])
    return ra, dec


def _pair(center: Any) -> tuple[float, float]:
    if not isinstance(center, str):
        ra, dec = (float(v.to_value("deg") if hasattr(v, "to_value") else v) for v in center)
        return ra, dec
    parts = center.replace(",", " ").split()
    if len(parts) == 2:
        try:
            return float(parts[0]), float(parts[1])
        except ValueError:
            pass  # sexagesimal
    from astropy.coordinates import SkyCoord

    coord = SkyCoord(center, unit=("hourangle", "deg"))
    return float(coord.ra.deg), float(coord.dec.deg)


def _resolve(name: str) -> Target | str:
    """A target, or in words why there is none."""
    from astrofuse_lab.surveys.practice import catalogue

    if name.lower().startswith(catalogue.PREFIX):
        try:
            return catalogue.resolve(name)
        except TargetError as error:
            return str(error)
    answer = _sesame(name)
    position = POSITION.search(answer)
    if position is None:
        return "not known to SIMBAD, NED or VizieR"
    motion = MOTION.search(answer)
    pmra, pmdec = (float(v) for v in motion.groups()) if motion else (0.0, 0.0)
    return Target(name, float(position[1]), float(position[2]), SESAME_EPOCH, pmra, pmdec)


def _why(error: Exception) -> str:
    """A failed request in a few words: requests' own hold the whole address three times."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT:g} s"
    return "no such host, or no network" if "resolve" in str(error) or "look up" in str(error) else type(error).__name__


def _sesame(name: str) -> str:
    """The resolver's answer, from the first of astropy's Sesame servers that gives one."""
    import requests
    from astropy.coordinates.name_resolve import sesame_url

    failures: list[str] = []
    for base in sesame_url.get():
        url = f"{base.rstrip('/')}/-oI/SNV?{quote(name)}"
        try:
            response = requests.get(url, timeout=TIMEOUT)
            response.raise_for_status()
        except requests.RequestException as error:
            failures.append(f"{urlsplit(url).hostname}: {_why(error)}")
            continue
        if "#" in response.text[:200] and "<html" not in response.text[:2000].lower():
            return response.text
        failures.append(f"{urlsplit(url).hostname}: not an answer of Sesame but {response.headers.get('content-type', 'something else')}")
    raise ArchiveError(
        "Sesame", f"the name resolver cannot be reached, so names cannot be turned into positions. Give coordinates instead: "
        f"Targets.from_table({{'id': [{name!r}], 'ra': [...], 'dec': [...]}}), or a name of the practice sky. ({'; '.join(failures)})",
        target=name, transient=True,
    )  # fmt: skip
