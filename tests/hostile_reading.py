"""A process that reads spoilt answers one by one, in bounded memory, and says what became of each; the tests watch it from outside.

Run as ``python hostile_reading.py JOB``, JOB a JSON list of [format, first, last]. Answer number n of a format is spoilt with the seed (format, n), so any of
them can be made again alone. Lines out: ``{"start": [format, n]}`` before, and one with the outcome after.
"""

import faulthandler
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

HEADROOM = 1024**3
"""Bytes of address space beyond what is there after the valid answers were read."""
SEED = 20251121
lines = os.dup(1)
os.dup2(2, 1)  # libraries written in C print what they think of a file
writes: list[str] = []
accepted = [False]


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: what is written, moved, started or called on the network while an answer is read."""
    if event == "open":
        path, mode, flags = arguments
        if isinstance(path, str | bytes) and ((isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            writes.append(f"open {path!r}")
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.system", "os.exec", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        writes.append(f"{event} {arguments[:2]!r}")


def note_acceptance() -> None:
    """Make every parser say that it took an answer for one of its format: what fails later failed on what is inside."""
    from astrofuse_lab.surveys import avro_files, formats, gaia_spectra, hdf5_files, parquet_files

    def noted(module: Any, name: str) -> None:
        parse = getattr(module, name)

        def parsed(*arguments: Any, **named: Any) -> Any:
            made = parse(*arguments, **named)
            accepted[0] = True
            return made

        setattr(module, name, parsed)

    for module, names in (
        (formats, ("fits_hdus", "votable", "csv_table", "json_value")), (gaia_spectra, ("unzipped",)), (parquet_files, ("table",)), (avro_files, ("opened",)), (hdf5_files, ("read",)),
    ):  # fmt: skip
        for name in names:
            noted(module, name)
    hdf5_files.LIMIT = 8.0  # below the patience of the tests


def wrong(product: Any) -> str:
    """What a product has that none may have; empty where it is right."""
    from astrofuse_lab.modalities import Image, LightCurve, Series, SkyMap, Spectrum, TableRow, Text, TimeSeries

    def finite(array: Any, mask: Any = ...) -> bool:
        return bool(np.isfinite(np.asarray(array, dtype=float)[mask]).all())

    if isinstance(product, Image):
        good = product.flux.ndim == 3 and product.flux.shape == product.mask.shape and len(product.bands) == len(product.flux) and finite(product.flux, product.mask)
        good = good and (product.ivar is None or (product.ivar.shape == product.flux.shape and finite(product.ivar, product.mask))) and finite(product.scale) and product.scale > 0
        return "" if good and (product.time is None or finite(product.time)) else "image"
    if isinstance(product, Spectrum):
        same = product.wavelength.shape == product.flux.shape == product.ivar.shape == product.mask.shape == (len(product.flux),)
        good = same and finite(product.wavelength) and finite(product.flux, product.mask) and finite(product.ivar, product.mask) and (np.diff(product.wavelength) > 0).all()
        good = good and (product.lsf_sigma is None or product.lsf_sigma.shape == product.flux.shape)
        return "" if good and (product.time is None or finite(product.time)) else "spectrum"
    if isinstance(product, LightCurve):
        same = product.time.shape == product.flux.shape == product.flux_err.shape == product.mask.shape == product.band.shape == (len(product.time),)
        return "" if same and finite(product.time) and finite(product.flux, product.mask) and finite(product.flux_err, product.mask) else "light curve"
    if isinstance(product, TableRow):
        return "; ".join(f"{k}={v!r:.60}" for k, v in product.values.items() if not isinstance(v, float | int | str | bool | None) or (isinstance(v, float) and not np.isfinite(v)))
    if isinstance(product, TimeSeries):
        same = product.values.shape == product.mask.shape and len(product.channels) == len(product.values)
        return "" if same and finite(product.values, product.mask) and finite([product.start, product.step]) and product.step > 0 else "time series"
    if isinstance(product, Series):
        same = product.values.shape == product.mask.shape == (len(product.channels), len(product.axis))
        return "" if same and finite(product.axis) and finite(product.values, product.mask) else "series"
    if isinstance(product, SkyMap):
        good = product.uniq.shape == product.density.shape and finite(product.density) and (product.density >= 0).all()
        return "" if good and (product.time is None or finite(product.time)) else "sky map"
    return "" if isinstance(product, Text) and isinstance(product.text, str) else type(product).__name__


def outcome(seed: Any, bodies: list[bytes]) -> dict[str, Any]:
    """Read one answer: ``product`` (how many), ``refused`` (an ArchiveError that names who it is about), or ``fault`` with what was wrong."""
    from astrofuse_lab.errors import ArchiveError

    raw = seed.raw(bodies)
    writes.clear()
    accepted[0] = False
    said: dict[str, Any] = {"survey": raw.survey, "bytes": len(raw.content)}
    begin = time.monotonic()
    try:
        products = list(seed.survey.read(raw))
    except ArchiveError as error:
        said["refused"] = str(error)[:300]
        if error.survey != raw.survey or raw.survey not in str(error):
            said["fault"] = f"the error does not name the survey: {error}"
        elif len(raw.target_ids) == 1 and error.target != raw.target_ids[0]:
            said["fault"] = f"the error does not name the target: {error}"
        elif len(str(error)) > 2000 or "\x00" in str(error):
            said["fault"] = f"the error is of {len(str(error))} signs: {str(error)[:200]!r}"
    except BaseException as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        said["fault"] = f"{type(error).__name__}: {str(error)[:200]} at {where.filename}:{where.lineno}"
    else:
        said["product"] = len(products)
        bad = [text for target, product in products if (text := wrong(product) if target in raw.target_ids else f"target {target!r}")]
        if bad:
            said["fault"] = f"no right product: {bad[0][:300]}"
    said["inside"] = accepted[0] or bool(said.get("product"))
    said["seconds"] = round(time.monotonic() - begin, 2)
    if writes:
        said["fault"] = f"reading did more than read: {writes[:3]}"
    return said


def bound_memory() -> None:
    """No more address space than there is now and some headroom: a claim that is believed ends in a MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def say(**what: Any) -> None:
    os.write(lines, json.dumps(what).encode() + b"\n")


def main() -> None:
    """The job: valid answers first, each of which must be a product, then the spoilt ones."""
    from hostile_answers import MAKERS
    from hostile_bombs import BOMBS
    from hostile_changes import changed

    MAKERS["bomb"] = lambda: [make() for make in BOMBS.values()]
    job = json.loads(sys.argv[1])
    faulthandler.enable()
    faulthandler.dump_traceback_later(60.0)
    warnings.simplefilter("ignore")
    seeds = {form: MAKERS[form]() for form, _, _ in job}
    note_acceptance()
    import h5py  # noqa: F401

    for form, mine in seeds.items():
        for number, seed in enumerate(mine if form != "bomb" else []):
            said = outcome(seed, seed.bodies)
            if (said.get("fault") and "more than read" not in said["fault"]) or not said.get("product"):
                say(valid=[form, number], **said)
    sys.addaudithook(watch)
    bound_memory()
    faulthandler.cancel_dump_traceback_later()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for form, first, last in job:
        for number in range(first, last):
            rng = np.random.default_rng([SEED, *form.encode(), number])
            seed = seeds[form][number % len(seeds[form])]
            bodies = changed(form, rng, seed.bodies) if form != "bomb" else seed.bodies
            say(start=[form, number])
            faulthandler.dump_traceback_later(9.0, exit=False)
            said = outcome(seed, bodies)
            faulthandler.cancel_dump_traceback_later()
            say(end=[form, number], **said)
    say(peak=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


if __name__ == "__main__":
    main()
