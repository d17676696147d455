"""Targets from names and from lines of text. `fetching` binds both to `Targets`."""

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from astrofuse_lab.errors import ArchiveError, InputError, TargetError, UnknownNameError
from astrofuse_lab.notation import FRAMES, Entry, entry
from astrofuse_lab.targets import GAIA_EPOCH, Target, Targets, ends_of

TIMEOUT = 20.0  # s
THREADS = 4
SESAME_EPOCH = 2000.0
NUMBER = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
POSITION = re.compile(rf"^%J\s+({NUMBER})\s+({NUMBER})", re.MULTILINE)
MOTION = re.compile(rf"^%P\s+({NUMBER})\s+({NUMBER})", re.MULTILINE)


def from_names(names: str | Iterable[str], *, errors: Literal["raise", "skip"] = "raise", time: Any = None) -> Targets:
    """Targets by name.

    Names of the practice sky (``practice-00000042``) need no network. All others are asked of the Sesame resolver of
    the CDS (SIMBAD, then NED, then VizieR; https://vizier.cds.unistra.fr/vizier/doc/sesame.htx). Its positions are
    ICRS at epoch 2000; proper motions are taken over where SIMBAD has them.

    Parameters
    ----------
    names : str or iterable of str
    errors : {"raise", "skip"}
        What to do about names that do not resolve: raise, or leave them out and say so in ``targets.notes``.
    time : pair, optional
        Time window of all targets, as in `Targets.during`.

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
    outcomes = _resolve_all(wanted)
    resolved = [t for t in outcomes if isinstance(t, Target)]
    lost = [f"{name!r} ({why})" for name, why in zip(wanted, outcomes, strict=True) if isinstance(why, str)]
    if lost and (errors == "raise" or not resolved):
        count = f"{len(lost)} of {len(wanted)} names did not resolve"
        advice = "Correct them, or leave them out with Targets.from_names(names, errors='skip')." if resolved else "Correct them, or give positions."
        raise TargetError(f"{count}: {', '.join(lost[:10])}{', ...' if len(lost) > 10 else ''}. {advice}")
    made = Targets(resolved, [f"left out: {each}" for each in lost])
    return made if time is None else made.during(*ends_of(time))


def from_text(
    text: str, *, frame: str = "icrs", errors: Literal["raise", "skip"] = "raise", near: float = 1.0, time: Any = None, epoch: float | None = None,
) -> Targets:  # fmt: skip
    """Targets from lines, as pasted: one object a line.

    A line is a name, a position, or both in either order; what follows ``#`` is a comment. Positions are degrees
    (``150.1 2.2``), hours and degrees (``10:00:24 +02:12:00``, ``10h00m24s +02d12m``, ``10 00 24 +02 12 00``), designations
    (``SDSS J100024.00+021200.0``), or in a frame that is named (``gal 120.5 -3.2``, ``l=120.5 b=-3.2``, ``12:00:00 +10:00:00 B1950``).
    Names are resolved as by `from_names`.

    Parameters
    ----------
    text : str
    frame : str
        Frame of positions that do not say theirs: icrs, fk5, fk4 (B1950), galactic, ecliptic or supergalactic.
    errors : {"raise", "skip"}
        What to do about lines that are no targets: raise, or leave them out and say so in ``targets.notes``.
    near : float
        arcsec. Objects that lie closer together are named in ``targets.notes``, and kept.
    time : pair, optional
        Time window of all targets.
    epoch : float, optional
        Julian year of the positions; 2016 where it is not said.

    Returns
    -------
    Targets
        In the order of the lines; a position without a name is called ``target-`` and the number of its line less one. Lines count from 1.

    Raises
    ------
    TargetError
        If there is no line, or a line is no target.
    ArchiveError
        If there are names and the resolver cannot be reached.
    """
    if frame.lower() not in FRAMES:
        raise UnknownNameError("frame", frame, list(FRAMES))
    if errors not in ("raise", "skip"):
        raise InputError(f"errors={errors!r}: 'raise' or 'skip'.")
    said: dict[int, Entry] = {}
    wrong: dict[int, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        try:
            one = entry(line, FRAMES[frame.lower()])
        except ValueError as error:
            wrong[number] = str(error)
            continue
        if one is not None:
            said[number] = one
    if not said and not wrong:
        raise TargetError("no targets yet. Type one a line: a name, or RA and Dec, e.g. 150.1 2.2 (deg) or 10:00:24 +02:12:00")
    places = _icrs({n: one for n, one in said.items() if one.place is not None})
    named = list(dict.fromkeys(one.name for one in said.values() if one.place is None))
    resolved = dict(zip(named, _resolve_all(named), strict=True))
    rows: dict[int, Target] = {}
    for number, one in said.items():
        found = resolved[one.name] if one.place is None else Target(one.name or f"target-{number - 1:05d}", *places[number], GAIA_EPOCH if epoch is None else epoch)
        if isinstance(found, Target):
            rows[number] = found
        else:
            wrong[number] = f"{one.name!r} ({found})"
    if wrong and (errors == "raise" or not rows):
        listed = [f"line {n}: {wrong[n]}" for n in sorted(wrong)]
        more = f"; {len(listed) - 5} more" if len(listed) > 5 else ""
        advice = " Correct them, or leave them out with errors='skip'." if rows else ""
        raise TargetError(f"{len(wrong)} of {len(wrong) + len(rows)} lines are no targets: {'; '.join(listed[:5])}{more}.{advice}")
    return _listed(rows, wrong, said, errors, near, time)


def _listed(rows: dict[int, Target], wrong: dict[int, str], said: dict[int, Entry], errors: str, near: float, time: Any) -> Targets:
    """Targets of lines, with notes on lines left out, on lines that say less than they seem to, on repeats and neighbours."""
    remarks = [f"line {n}: {said[n].name!r}: {said[n].remark}" for n in rows if said[n].remark]
    lost = [f"left out: line {n}: {wrong[n]}" for n in sorted(wrong)]
    made = Targets._listed(list(rows.values()), errors, near, "line", list(rows), [*lost, *remarks])
    return made if time is None else made.during(*ends_of(time), replace=False)


def _icrs(said: dict[int, Entry]) -> dict[int, tuple[float, float]]:
    """Positions in any frames as ICRS degrees, all of one frame at once."""
    made = {number: one.place for number, one in said.items() if one.place is not None and one.frame == "icrs"}
    for frame in sorted({one.frame for one in said.values()} - {"icrs"}):
        from astropy.coordinates import SkyCoord

        numbers = [number for number, one in said.items() if one.frame == frame]
        places = [place for number in numbers if (place := said[number].place) is not None]
        there = SkyCoord([lon for lon, _ in places], [lat for _, lat in places], unit="deg", frame=frame).icrs
        made |= dict(zip(numbers, zip(there.ra.deg.tolist(), there.dec.deg.tolist(), strict=True), strict=True))
    return made


def _resolve_all(names: list[str]) -> list[Target | str]:
    """A target of each name, or why there is none."""
    if not names:
        return []
    with ThreadPoolExecutor(max_workers=min(THREADS, len(names))) as pool:
        return list(pool.map(_resolve, names))


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
