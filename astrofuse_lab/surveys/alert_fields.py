"""What an alert packet of ZTF or Rubin says, as light curve, stamps and catalogue row. Pure.

Sources: ZTF, https://github.com/ZwickyTransientFacility/ztf-avro-alert (schema 4.02 and docs/schema.md: ``jd`` at the start of the exposure, ``fid`` 1 g, 2 r,
3 i, AB magnitudes of the difference image with ``isdiffpos`` as sign, ``diffmaglim`` of 5 sigma, forced photometry in DN with ``magzpsci``, stamps as gzipped FITS,
-999 for what is missing); Rubin, https://github.com/lsst/alert_packet (schemas 3.0 to 11.0: fluxes in nJy, ``midpointMjdTai``, TAI; in 3.0 ``midPointTai``,
``psFlux``, ``filterName``, ``decl``). Fluxes of both are those of the difference image: science minus reference, negative where a source has faded.

A packet does not say how a ZTF stamp lies on the sky. It gets a projection as if north were up; what is compared with images of other surveys pixel by pixel
should be turned first. Rubin's stamps carry their own.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from astrofuse_lab.modalities import Image, TableRow
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.surveys import curves, formats, pixels
from astrofuse_lab.surveys.curves import JD_TO_MJD, Epochs

Value = Mapping[str, Any]
ZTF_BANDS = {1: "g", 2: "r", 3: "i"}
STAMPS = ("science", "reference", "difference")
STAMP_FIELDS = ("cutoutScience", "cutoutTemplate", "cutoutDifference")
SCALE = {"ztf": 1.012, "rubin": 0.2}
"""arcsec per pixel, where a stamp does not say."""
LARGEST_STAMP = 16 * 1024**2
"""Bytes that a stamp may unpack to."""
LARGEST_SIDE = 2000
FLOAT32 = float(np.finfo(np.float32).max)
MISSING = -999.0
NO_FORCED = -99998.0
"""ZTF's forced photometry has -99999 where it failed."""
# columns of candidate and diaSource that are no inputs. What says or scores what an object is (match to a known solar-system object, real-bogus and star-galaxy
# scores) would hand a classifier somebody else's answer; positions, times and detector tell the exposure.
IDS = ("candid", "pid", "tblid", "nid", "rfid", "objectidps1", "objectidps2", "objectidps3", "diaSourceId", "visit", "diaObjectId", "ssObjectId", "parentDiaSourceId")
OTHERS = frozenset({
    "jd", "ra", "dec", "ranr", "decnr", "xpos", "ypos", "rcid", "field", "programid", "programpi", "pdiffimfilename", "tooflag", "jdstarthist", "jdendhist",
    "jdstartref", "jdendref", "nframesref", "rb", "rbversion", "drb", "drbversion", "classtar", "sgscore1", "sgscore2", "sgscore3", "magzpsci", "magzpsciunc",
    "magzpscirms", "nmatches", "clrcoeff", "clrcounc", "zpclrcov", "zpmed", "clrmed", "clrrms", "exptime",
    "detector", "midpointMjdTai", "midPointTai", "decl", "raErr", "decErr", "declErr", "ra_dec_Cov", "ra_decl_Cov", "x", "y", "xErr", "yErr", "x_y_Cov", "trailRa",
    "trailDec", "trailDecl", "extendedness", "reliability", "timeProcessedMjdTai", "timeWithdrawnMjdTai", "programId", "ccdVisitId", "pixelFlags", "glint_trail",
})  # fmt: skip
ZTF_UNITS = {
    "deg": ("ra", "dec", "ranr", "decnr"), "d": ("jd", "jdstarthist", "jdendhist", "jdstartref", "jdendref"), "s": ("exptime",),
    "arcsec": ("distpsnr1", "distpsnr2", "distpsnr3", "neargaia", "neargaiabright", "ssdistnr"),
    "pix": ("distnr", "fwhm", "xpos", "ypos", "mindtoedge", "aimage", "bimage"),
    "mag": (
        "magpsf", "sigmapsf", "diffmaglim", "magap", "sigmagap", "magnr", "sigmagnr", "magdiff", "magfromlim", "magapbig", "sigmagapbig", "maggaia",
        "maggaiabright", "magzpsci", "ssmagnr", *(f"s{band}mag{i}" for band in "griz" for i in (1, 2, 3)),
    ),
}  # fmt: skip


class Alert(NamedTuple):
    """Which alert a packet is.

    Attributes
    ----------
    kind : str
        ``ztf`` or ``rubin``.
    names : tuple of str
        What the object is called first (empty for none), then the alert's number and what else it goes by.
    ra, dec : float
        deg.
    time : float
        MJD in the stream's own clock.
    """

    kind: str
    names: tuple[str, ...]
    ra: float
    dec: float
    time: float


def alert_of(packet: Value) -> Alert:
    """Which alert this is; ValueError where it follows neither schema."""
    source = packet.get("candidate")
    if isinstance(source, Mapping) and "jd" in source:
        names: tuple[str, ...] = (str(packet.get("objectId") or ""), str(packet.get("candid") or source.get("candid") or ""))
        return _checked(Alert("ztf", names, float(source["ra"]), float(source["dec"]), float(source["jd"]) - JD_TO_MJD))
    source = packet.get("diaSource")
    if isinstance(source, Mapping) and "diaSourceId" in source:
        whole = packet.get("ssSource")
        moving = whole.get("designation") if isinstance(whole, Mapping) else None
        own = source.get("diaObjectId") or source.get("ssObjectId") or ""
        names = (str(own), str(source["diaSourceId"]), str(source.get("ssObjectId") or ""), str(moving or ""))
        time = _first(source, "midpointMjdTai", "midPointTai")
        return _checked(Alert("rubin", names, float(source["ra"]), float(_first(source, "dec", "decl")), float(time)))
    raise ValueError(f"it follows neither ZTF's nor Rubin's schema: {', '.join(map(str, list(packet)[:8]))}")


def _checked(alert: Alert) -> Alert:
    if not (0 <= alert.ra <= 360 and -90 <= alert.dec <= 90 and math.isfinite(alert.time)):
        raise ValueError(f"its position and time (RA {alert.ra}, Dec {alert.dec}, MJD {alert.time}) are none")
    return alert


def _first(record: Value, *names: str) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _records(packet: Value, name: str) -> list[Value]:
    return [record for record in packet.get(name) or () if isinstance(record, Mapping)]


# ---- light curves -------------------------------------------------------------------------------------------------


def epochs(packets: Sequence[Value], kind: str, forced: bool) -> Epochs:
    """All that the packets of one object say of its brightness, each exposure once.

    Parameters
    ----------
    packets : sequence of mapping
    kind : str
        ``ztf`` or ``rubin``.
    forced : bool
        Forced photometry in place of detections and upper limits.
    """
    rows = [row for packet in packets for row in (_ztf(packet, forced) if kind == "ztf" else _rubin(packet, forced))]
    known: dict[tuple[float, str], tuple[Any, ...]] = {}
    for row in rows:
        key = (round(row[0], 5), row[3]) if row[0] is not None else (math.nan, "")
        # of an exposure that one packet calls a detection and another a limit the detection counts
        if key not in known or (known[key][5] and not row[5]):
            known[key] = row
    kept = list(known.values())
    time, flux, error = (curves.numbers([row[i] for row in kept]) for i in range(3))
    good, limit = (np.array([row[i] for row in kept], dtype=bool) for i in (4, 5))
    return Epochs(time, flux, error, np.array([row[3] for row in kept], dtype=np.str_), good, limit)


def _ztf(packet: Value, forced: bool) -> Iterable[tuple[Any, ...]]:
    """Rows of MJD, flux, error, band, good, limit."""
    if forced:
        for record in _records(packet, "fp_hists"):
            flux, error, zero = (_number(record.get(name)) for name in ("forcediffimflux", "forcediffimfluxunc", "magzpsci"))
            scale = 10 ** (-0.4 * (zero - 23.9)) if 0 < zero < 40 else math.nan
            yield _time(record), flux * scale, error * scale, _band(record), flux > NO_FORCED and error > 0, False
        return
    for record in (packet["candidate"], *_records(packet, "prv_candidates")):
        mag, sigma, depth = (_number(record.get(name)) for name in ("magpsf", "sigmapsf", "diffmaglim"))
        seen = math.isfinite(mag)
        real = 0 < (mag if seen else depth) < 40
        size = curves.AB_ZERO * 1e6 * 10 ** (-0.4 * (mag if seen else depth)) if real else math.nan
        sign = 1.0 if str(record.get("isdiffpos")).lower() in ("t", "1", "true", "1.0") else -1.0
        # a limit of 5 sigma has a depth of a fifth of it
        yield _time(record), sign * size if seen else 0.0, size * sigma * curves.POGSON if seen else size / 5, _band(record), real, not seen


def _rubin(packet: Value, forced: bool) -> Iterable[tuple[Any, ...]]:
    measured = _records(packet, "prvDiaForcedSources") if forced else [packet["diaSource"], *_records(packet, "prvDiaSources")]
    for record in measured:
        flux, error = (_number(_first(record, *names)) * 1e-3 for names in (("psfFlux", "psFlux"), ("psfFluxErr", "psFluxErr")))
        yield _number(_first(record, "midpointMjdTai", "midPointTai")), flux, error, _filter(record), not record.get("psfFlux_flag"), False
    for record in () if forced else _records(packet, "prvDiaNondetectionLimits"):
        yield _number(_first(record, "midpointMjdTai", "midPointTai")), 0.0, _number(record.get("diaNoise")) * 1e-3, _filter(record), True, True


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _time(record: Value) -> float:
    return _number(record.get("jd")) - JD_TO_MJD


def _band(record: Value) -> str:
    fid = _number(record.get("fid"))
    return ZTF_BANDS.get(int(fid), "") if math.isfinite(fid) else ""


def _filter(record: Value) -> str:
    return str(_first(record, "band", "filterName") or "")[:8]


# ---- stamps -------------------------------------------------------------------------------------------------------


def stamps(packet: Value, alert: Alert, survey: str, target: str, provenance: Provenance, raw: bool = False) -> Image | None:
    """Science, reference and difference as three planes; None where the packet has no stamps. A stamp that is lacking is masked.

    With ``raw`` masked pixels keep a finite value that they have: ZTF's -3.4e38 outside the reference image, whose square overflows in float32 (see `l2`).
    """
    planes, units = [], []
    for name, field in zip(STAMPS, STAMP_FIELDS, strict=True):
        stamp = packet.get(field)
        content = stamp.get("stampData") if isinstance(stamp, Mapping) else stamp
        found = _stamp(bytes(content), survey, name, target) if content else None
        planes.append(found[0] if found else None)
        units += [found[1]] if found else []
    there = [plane for plane in planes if plane is not None]
    if not there:
        return None
    with formats.reading(survey, "set of stamps", target):
        shapes, kinds = {plane.values.shape for plane in there}, set(units)
        if len(shapes) > 1 or len(kinds) > 1:
            raise ValueError(f"the stamps differ: {', '.join(map(str, sorted(shapes)))}, {', '.join(sorted(kinds))}")
        shape, unit = there[0].values.shape, units[0]
        flux = np.stack([plane.values if plane is not None else np.full(shape, np.nan) for plane in planes])
        mask = np.isfinite(flux) & (np.abs(flux) < curves.LARGEST)
        if not mask.any():
            return None
        wcs = there[0].wcs if "CTYPE1" in there[0].wcs else _nominal(alert, shape)
        return Image(
            np.where(np.isfinite(flux) if raw else mask, flux, 0.0).clip(-FLOAT32, FLOAT32).astype(np.float32), mask, STAMPS, wcs, pixels.scale_of(wcs), _ivar(planes, mask),
            time=alert.time, unit=unit,
            provenance=provenance,
        )  # fmt: skip


def _stamp(content: bytes, survey: str, name: str, target: str) -> tuple[pixels.Plane, str]:
    """Pixels and unit: microjansky where the file says that it holds a flux density."""
    from astrofuse_lab.surveys.photometry import microjansky

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ZTF's stamps write SIMPLE in the wrong columns
        units = pixels.opened(formats.unpacked(content, survey, target, LARGEST_STAMP), survey, f"{name} stamp", target)
    with formats.reading(survey, f"{name} stamp", target):
        said = str(units[0].header.get("BUNIT", "") or "").strip()
        factor, unit = microjansky(said) if said else (1.0, "adu")
        plane = pixels.plane(units[0], factor)
        if max(plane.values.shape) > LARGEST_SIDE:
            raise ValueError(f"{plane.values.shape} pixels are no stamp")
        for other in units[1:]:
            # Rubin's carry an uncertainty: CCDData of astropy, whose UTYPE says which kind
            if other.name == "UNCERT" and np.shape(other.data) == plane.values.shape:
                data = np.asarray(other.data, dtype=np.float64)
                kind = str(other.header.get("UTYPE", "StdDevUncertainty"))
                with np.errstate(divide="ignore", invalid="ignore"):
                    own = {"StdDevUncertainty": data**-2, "VarianceUncertainty": 1 / data, "InverseVariance": data}.get(kind, np.zeros(1)) / factor**2
                plane = plane._replace(ivar=np.where(np.isfinite(own) & (own > 0), own, 0.0))
        return plane, "adu" if unit.lower() in ("dn", "adu", "count", "counts") else unit


def _ivar(planes: Sequence[pixels.Plane | None], mask: Any) -> Any:
    known = [plane.ivar for plane in planes if plane is not None and plane.ivar is not None]
    return np.where(mask, np.stack(known), 0.0).astype(np.float32) if len(known) == len(planes) else None


def _nominal(alert: Alert, shape: tuple[int, ...]) -> pixels.Wcs:
    """The alert in the middle, north up, since the packet does not say."""
    step = SCALE[alert.kind] / 3600
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": alert.ra, "CRVAL2": alert.dec, "CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2,
        "CDELT1": -step, "CDELT2": step, "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS",
    }  # fmt: skip


# ---- rows ---------------------------------------------------------------------------------------------------------


def row(packet: Value, alert: Alert, provenance: Provenance, more: Value) -> TableRow:
    """The candidate record (ZTF) or the DIA source (Rubin), with what `more` adds."""
    source = packet["candidate" if alert.kind == "ztf" else "diaSource"]
    values: dict[str, Any] = {"objectId": alert.names[0] or None}
    for name, value in source.items():
        if isinstance(value, bytes | list | Mapping) or len(values) > 1000:
            continue
        values[str(name)] = _cell(value, str(name))
    roles = {name: role_of(name) for name in values}
    roles = {name: role for name, role in roles.items() if role != "input"} | dict.fromkeys(more, "other")
    units = {name: unit for unit, names in ZTF_UNITS.items() for name in names if name in values} if alert.kind == "ztf" else _rubin_units(values)
    return TableRow({**values, **more}, units | {"match_distance": "arcsec"}, roles, provenance)


def role_of(name: str) -> str:
    """``id``, ``other`` or ``input``."""
    if name in IDS or name == "objectId":
        return "id"
    known = name in OTHERS or name.startswith("ss") or "flag" in name.lower() or name.endswith("_Cov")
    return "other" if known else "input"


def _cell(value: Any, name: str) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)) or value in (MISSING, "null", ""):
        return None
    # a number that counts things too well for a float is a name
    return str(value) if name in IDS and isinstance(value, int) else value


def _rubin_units(values: Value) -> dict[str, str]:
    made = {}
    for name in values:
        if name.endswith(("Flux", "FluxErr", "FluxDiff", "FluxDiffErr")):
            made[name] = "nJy"
        elif name in ("ra", "dec", "decl", "raErr", "decErr", "declErr", "trailRa", "trailDec", "trailDecl", "trailAngle", "dipoleAngle"):
            made[name] = "deg"
        elif name in ("midpointMjdTai", "midPointTai", "timeProcessedMjdTai", "timeWithdrawnMjdTai"):
            made[name] = "d"
        elif name in ("trailLength", "dipoleLength"):
            made[name] = "arcsec"
        elif name in ("x", "y", "xErr", "yErr"):
            made[name] = "pix"
    return made
