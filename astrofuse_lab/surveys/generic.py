"""Any service by its address: ``af.surveys.tap(url, ...)`` and its like make a survey for ``af.fetch(surveys=[...])``.

What comes back is in the inner units whatever the service's are: positions and units are read from what it says of its columns,
and an argument goes before that where it says nothing, or something wrong.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from astrofuse_lab.errors import InputError
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, TableRow
from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.photometry import AB_ZERO
from astrofuse_lab.surveys.vo_columns import Wanted, wanted
from astrofuse_lab.surveys.vo_images1 import VoImages1
from astrofuse_lab.surveys.vo_products import VoImages, VoObsCore, VoSpectra
from astrofuse_lab.surveys.vo_tables import VoCone, VoTap, check_fields

GIVES: dict[str, type] = {"table": TableRow, "light_curve": LightCurve, "image": Image, "spectrum": Spectrum}
UNKNOWN = "not stated: ask the service's operators what to write"


def tap(
    url: str, *, table: str, gives: str = "table", columns: "Wanted | Sequence[str] | None" = None, name: str = "", ra: str = "", dec: str = "",
    angle: str = "", epoch: float = 2000.0, id_column: str = "", roles: Mapping[str, str] | None = None, uploads: bool | None = None,
    geometry: str = "contains", where: str = "", zero_point: float | Mapping[str, float] = AB_ZERO, time_zero: float | None = None,
    asynchronous: bool | None = None, release: str = "", citation: str = "", licence: str = "", timeout: float = transport.SILENCE,
) -> VoTap:
    """One table of a TAP service: the row nearest to each target, or the nearest object's photometry.

    Positions are uploaded, many at a time, where the service takes uploads; else they stand in the query.

    Parameters
    ----------
    url : str
        Of the service, as in the registry, without ``/sync``.
    table : str
        As in its TAP_SCHEMA.
    gives : str
        ``table`` or ``light_curve``: then the table has a row an epoch.
    columns : list of str, or mapping, optional
        Those wanted; None: all. A mapping gives them names, and a unit where the service says none or a wrong one:
        ``{"g": "gmag", "flux": ("f_ks", "mJy")}``. For light curves the names are the fields time, flux, flux_err, mag, mag_err, band, good,
        flag (zero is good) and limit; None: by UCD and the usual names.
    name : str
        Of the survey; empty: host and table.
    ra, dec, angle : str
        Position columns and their unit (``deg``, ``hourangle``, ``rad``); empty: as the service describes them.
    epoch : float
        Julian year of the positions: targets with proper motions are moved to it.
    id_column : str
        What names an object in photometry; empty: the column described as ``meta.id;meta.main``, else all rows in the radius are one object.
    roles : mapping of str to str, optional
        Column (our name) to ``input``, ``target``, ``id`` or ``other``, before what its UCD says.
    uploads : bool, optional
        None: as the service's capabilities say.
    geometry : str
        As in `TapTable`: contains, distance, q3c or box.
    where : str
        A further ADQL condition; the table's alias is ``c``.
    zero_point : float or mapping of str to float
        Jy of magnitude zero, for all or each band; AB unless said otherwise.
    time_zero : float, optional
        MJD of time zero; None: MJD, or JD where the numbers are those of one.
    asynchronous : bool, optional
        Whether queries run as jobs that the service works on for as long as it takes (``/async``). None: those that it does not answer in time at once.
    release, citation, licence : str
        Carried by every product.
    timeout : float
        Seconds without a byte after which an answer is given up.

    Returns
    -------
    survey
        For ``af.fetch(targets, surveys=[...])``, beside names.

    Raises
    ------
    InputError
        For an argument that makes no sense. What the service lacks is said when it is asked.
    """
    chosen = _kind(gives, ("table", "light_curve"))
    own = wanted(columns)
    given: dict[str, Any] = {"table": table, "columns": own, "ra": ra, "dec": dec, "angle": angle, "epoch": epoch, "id_column": id_column, "roles": dict(roles or {}),
             "uploads": uploads, "geometry": geometry, "where": where, "zero_point": zero_point, "time_zero": time_zero}  # fmt: skip
    if not table.strip():
        raise InputError("table is empty. Name one of the service's tables, as in its TAP_SCHEMA: af.surveys.tap(url, table='gaiadr3.gaia_source').")
    made = VoTap(gives=chosen, asynchronous=asynchronous, **given, **_said(url, name or _name(url, table, gives, given), release, citation, licence, timeout, [gives, given]))
    if chosen is LightCurve:
        check_fields(made.name, own)
    made._plain()  # refuses a geometry or angle that does not exist
    return made


def cone(
    url: str, *, gives: str = "table", columns: "Wanted | Sequence[str] | None" = None, name: str = "", ra: str = "", dec: str = "", epoch: float = 2000.0,
    id_column: str = "", roles: Mapping[str, str] | None = None, zero_point: float | Mapping[str, float] = AB_ZERO, time_zero: float | None = None,
    release: str = "", citation: str = "", licence: str = "", timeout: float = transport.SILENCE,
) -> VoCone:
    """A cone search service (SCS): as `tap`, one request a target."""
    chosen = _kind(gives, ("table", "light_curve"))
    own = wanted(columns)
    given: dict[str, Any] = {"columns": own, "ra": ra, "dec": dec, "epoch": epoch, "id_column": id_column, "roles": dict(roles or {}), "zero_point": zero_point, "time_zero": time_zero}
    made = VoCone(gives=chosen, **given, **_said(url, name or _name(url, "cone", gives, given), release, citation, licence, timeout, [gives, given]))
    if chosen is LightCurve:
        check_fields(made.name, own)
    return made


def sia2(
    url: str, *, bands: Mapping[str, Any] | None = None, parameters: Mapping[str, str] | None = None, semantics: str = "#this", name: str = "",
    release: str = "", citation: str = "", licence: str = "", timeout: float = transport.SILENCE,
) -> VoImages:
    """Images of a SIA2 service: in each band the one centred nearest to the target, cut to the size asked for.

    Parameters
    ----------
    url : str
        Of its query resource, as in the registry.
    bands : mapping, optional
        Band to a wavelength in it (Quantity, or ångström): ``{"g": 4800, "r": 6250}``. None: every band that is there, named as the
        service or the file's header names it.
    parameters : mapping of str to str, optional
        Sent with every request, e.g. ``{"COLLECTION": "HST", "CALIB": "3"}``.
    semantics : str
        Which of a row's links is the file, where it has several (DataLink). A cutout service (SODA) among them is used.
    name, release, citation, licence, timeout
        As in `tap`.
    """
    return VoImages(**_files(url, "sia2", "image", bands, parameters, semantics, None, AB_ZERO, None, name, release, citation, licence, timeout))


def sia1(
    url: str, *, bands: Mapping[str, Any] | None = None, parameters: Mapping[str, str] | None = None, name: str = "", release: str = "", citation: str = "",
    licence: str = "", timeout: float = transport.SILENCE,
) -> VoImages1:
    """Images of a service of SIA version 1, which many archives still have: as `sia2`. What it calls a band goes before its wavelengths."""
    return VoImages1(**_files(url, "sia1", "image", bands, parameters, "#this", None, AB_ZERO, None, name, release, citation, licence, timeout))


def ssa(
    url: str, *, gives: str = "spectrum", parameters: Mapping[str, str] | None = None, semantics: str = "#this",
    columns: "Wanted | Sequence[str] | None" = None, zero_point: float | Mapping[str, float] = AB_ZERO, time_zero: float | None = None, name: str = "",
    release: str = "", citation: str = "", licence: str = "", timeout: float = transport.SILENCE,
) -> VoSpectra:
    """Spectra of an SSA service: the nearest within the radius, as FITS, VOTable or text, in any units; or its light curves.

    Parameters
    ----------
    gives : str
        ``spectrum`` or ``light_curve``.
    columns, zero_point, time_zero
        For light curves, as in `tap`.
    url, parameters, semantics, name, release, citation, licence, timeout
        As in `sia2`.
    """
    chosen = _kind(gives, ("spectrum", "light_curve"))
    return VoSpectra(gives=chosen, **_files(url, "ssa", gives, None, parameters, semantics, columns, zero_point, time_zero, name, release, citation, licence, timeout))


def obscore(
    url: str, *, gives: str, bands: Mapping[str, Any] | None = None, where: str = "", table: str = "ivoa.obscore", footprint: bool = True,
    semantics: str = "#this", columns: "Wanted | Sequence[str] | None" = None, zero_point: float | Mapping[str, float] = AB_ZERO,
    time_zero: float | None = None, name: str = "", release: str = "", citation: str = "", licence: str = "", timeout: float = transport.SILENCE,
) -> VoObsCore:
    """Images, spectra or light curves of a TAP service that has an ObsCore table.

    Parameters
    ----------
    url : str
        Of the TAP service.
    gives : str
        ``image``, ``spectrum`` or ``light_curve``.
    where : str
        A further ADQL condition, e.g. ``"obs_collection = 'HST'"``.
    footprint : bool
        Images: those whose ``s_region`` covers the target; without, those centred within half the size.
    bands, semantics, columns, zero_point, time_zero, name, release, citation, licence, timeout
        As in `sia2` and `tap`.
    """
    chosen = _kind(gives, ("image", "spectrum", "light_curve"))
    given: dict[str, Any] = {"where": where, "table": table, "footprint": footprint}
    common = _files(url, "obscore", gives, bands, given, semantics, columns, zero_point, time_zero, name, release, citation, licence, timeout)
    common.pop("parameters")
    return VoObsCore(gives=chosen, **given, **common)


def _kind(gives: str, may: Sequence[str]) -> type:
    if gives not in may:
        raise InputError(f"gives={gives!r}. It is one of {', '.join(map(repr, may))}.")
    return GIVES[gives]


def _files(
    url: str, protocol: str, gives: str, bands: Mapping[str, Any] | None, parameters: Mapping[str, Any] | None, semantics: str, columns: Any,
    zero_point: Any, time_zero: float | None, name: str, release: str, citation: str, licence: str, timeout: float,
) -> dict[str, Any]:  # fmt: skip
    """What the services of files have in common."""
    waves = {str(band): _angstrom(band, wave) for band, wave in (bands or {}).items()}
    own = wanted(columns)
    given: dict[str, Any] = {"parameters": dict(parameters or {}), "band_wavelengths": waves, "semantics": semantics, "columns": own, "zero_point": zero_point, "time_zero": time_zero}
    if gives == "light_curve":
        check_fields(name or protocol, own)
    return {**given, "bands": tuple(waves), **_said(url, name or _name(url, protocol, gives, given), release, citation, licence, timeout, [protocol, gives, given])}


def _angstrom(band: str, wave: Any) -> float:
    from astropy import units as u

    try:
        value = float(wave.to_value(u.AA, equivalencies=u.spectral()) if hasattr(wave, "to_value") else wave)
    except (TypeError, ValueError):
        value = -1.0
    if not value > 0:
        raise InputError(f"bands: {band!r} is {wave!r}. Give a wavelength inside the band: bands={{'g': 4800}} (ångström), or 480 * u.nm.")
    return value


def _said(url: str, name: str, release: str, citation: str, licence: str, timeout: float, settings: Any) -> dict[str, Any]:
    """Name, address and what every product carries."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InputError(f"url={url!r} is no address of a service. Type e.g. 'https://dc.g-vo.org/tap'.")
    return {
        "name": name, "url": url.rstrip("/"), "release": release or "as served", "citation": citation or f"Data of {parts.netloc} ({url}); {UNKNOWN}.",
        "licence": licence or UNKNOWN, "timeout": timeout, "fingerprint": _digest([url, settings]),
    }  # fmt: skip


def _name(url: str, what: str, gives: str, given: Mapping[str, Any]) -> str:
    """Host and table; where more is said, a few signs of it, so that two ways to ask one service have two names."""
    own = {key: value for key, value in given.items() if value not in ("", None, {}, 2000.0, AB_ZERO, "#this", "contains") and key != "table"}
    path = urlsplit(url).path.strip("/").replace("/", "-")
    plain = f"{urlsplit(url).hostname or ''}/{what if what not in ('cone', 'sia1', 'sia2', 'ssa', 'obscore') else f'{path}-{what}'.lstrip('-')}".lower()
    marks = "".join(c if c.isalnum() or c in "._-/" else "-" for c in plain)
    return marks + (f"-{gives}" if gives == "light_curve" or what == "obscore" else "") + (f"-{_digest(own)[:6]}" if own else "")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


__all__ = ["cone", "obscore", "sia1", "sia2", "ssa", "tap"]
