"""What a fetch asks of whom, in plain numbers: the surveys by name, one request each."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from astrofuse_lab import surveys as _surveys
from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.surveys.survey import Ask, Survey
from astrofuse_lab.targets import Targets

LIFTED = ("bands", "release", "limit")  # options that are fields of the request itself


def chosen_surveys(targets: Targets, names: str | Survey | Sequence[str | Survey]) -> dict[str, Survey]:
    """The surveys by name, once it is clear that there is something to do."""
    if not isinstance(targets, Targets):
        raise InputError(f"targets is a {type(targets).__name__}. Make Targets of it first: af.Targets.from_table(table), .from_names([...]) or .from_region(...).")
    if not len(targets):
        raise InputError("there are no targets to fetch. Targets.from_table(table), .from_names([...]) or .from_region(center, radius) finds some.")
    listed = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if not listed:
        raise InputError("no survey was named. Type e.g. surveys=['practice/image', 'practice/spectrum']; af.list_surveys() shows them all.")
    chosen: dict[str, Survey] = {}
    for survey in map(_surveys.get, listed):
        if chosen.setdefault(survey.name, survey) is not survey and chosen[survey.name] != survey:
            raise InputError(f"two different surveys are called {survey.name!r}. Give one of them a name of its own: name='...'.")
    return chosen


def requests_to(chosen: Mapping[str, Survey], radius: Any, size: Any, epochs: Any, options: Mapping[str, Any] | None) -> dict[str, Ask]:
    """The request to each survey, in plain numbers."""
    base = Ask(arcsec(radius, "radius"), arcsec(size, "size"), _span(epochs))
    general = {k: v for k, v in (options or {}).items() if not isinstance(v, Mapping)}
    special = {k: v for k, v in (options or {}).items() if isinstance(v, Mapping)}
    for name in special:
        if name not in chosen:
            raise UnknownNameError("survey in this fetch", name, chosen, "Options are given per survey, or once for all.")
    asks = {}
    for name in chosen:
        given = {**general, **special.get(name, {})}
        for key, value in given.items():
            if key not in LIFTED and not isinstance(value, float | int | str | bool):
                raise InputError(f"options: {key}={value!r} for {name} is a {type(value).__name__}; a number, a text or a truth value is needed.")
        rest = {k: v for k, v in given.items() if k not in LIFTED}
        asks[name] = base._replace(
            bands=_bands(given.get("bands")), release=given.get("release"), limit=None if given.get("limit") is None else int(given["limit"]), options=rest
        )
    return asks


def _bands(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, str) else tuple(str(b) for b in given)


def arcsec(value: Any, name: str) -> float:
    """An angle in arcsec from a Quantity or a plain number."""
    try:
        plain = float(value.to_value("arcsec") if hasattr(value, "to_value") else value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={value!r} is no angle ({error}). Type e.g. {name}=3 * u.arcsec, or a plain number of arcsec.") from None
    if not (np.isfinite(plain) and 0 < plain <= 3600 * 180):
        raise InputError(f"{name}={value!r} is not an angle above zero. Type e.g. {name}=3 * u.arcsec.")
    return plain


def _span(epochs: Any) -> tuple[float, float] | None:
    """First and last MJD."""
    if epochs is None:
        return None
    try:
        first, last = (float(getattr(e, "mjd", e)) for e in epochs)
    except (TypeError, ValueError):
        raise InputError(f"time={epochs!r} is not a pair of epochs. Type e.g. time=(58849.0, 59215.0), in MJD, or a pair of astropy Times.") from None
    if not first < last:
        raise InputError(f"time={epochs!r}: the first epoch is not before the last (MJD).")
    return first, last
