"""Which surveys there are: an explicit table, one row a survey."""

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from astrofuse_lab.errors import InputError, UnknownNameError
from astrofuse_lab.modalities import KIND_OF
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.survey import Survey

if TYPE_CHECKING:
    from astropy.table import Table

SURVEYS: dict[str, str] = {
    # name: "module:attribute", an instance that follows `survey.Survey`, or a mapping of such instances by name
    "practice/image": "astrofuse_lab.surveys.practice:IMAGE",
    "practice/spectrum": "astrofuse_lab.surveys.practice:SPECTRUM",
    "practice/light_curve": "astrofuse_lab.surveys.practice:LIGHT_CURVE",
    "practice/table": "astrofuse_lab.surveys.practice:TABLE",
    "practice/text": "astrofuse_lab.surveys.practice:TEXT",
    "practice/dynamic_spectrum": "astrofuse_lab.surveys.simulators.dynamic_spectra:PICTURE",
    "practice/burst_table": "astrofuse_lab.surveys.simulators.dynamic_spectra:TABLE",
    "practice/transit_light_curve": "astrofuse_lab.surveys.simulators.transits:CURVE",
    "practice/transit_table": "astrofuse_lab.surveys.simulators.transits:TABLE",
    "practice/gw_alerts": "astrofuse_lab.surveys.simulators.gravitational_wave_alerts:TABLE",
    "practice/streak_image": "astrofuse_lab.surveys.simulators.streaks:IMAGE",
    "practice/streak_table": "astrofuse_lab.surveys.simulators.streaks:TABLE",
    "practice/triplet": "astrofuse_lab.surveys.simulators.triplets:IMAGE",
    "practice/triplet_table": "astrofuse_lab.surveys.simulators.triplets:TABLE",
    **{f"practice/image_pair_{name}": f"astrofuse_lab.surveys.simulators.image_pairs:{name.upper()}" for name in ("reference", "science", "transient", "table")},
    "gaia/table": "astrofuse_lab.surveys.gaia:TABLE",
    "hips/dss2": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/sdss": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/legacy": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/panstarrs": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/2mass": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/unwise": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/galex": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/hsc": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/vlass": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/lotss": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/racs": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/chandra": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/xmm": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/swift": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/fermi": "astrofuse_lab.surveys.hips_rows:ROWS",
    "hips/euclid": "astrofuse_lab.surveys.hips_rows:ROWS",
    "legacy/image": "astrofuse_lab.surveys.legacy_images:IMAGE",
    "panstarrs/image": "astrofuse_lab.surveys.panstarrs_images:IMAGE",
    "sdss/image": "astrofuse_lab.surveys.sdss_frames:IMAGE",
    "ztf/image": "astrofuse_lab.surveys.ztf_images:ROWS",
    "ztf/reference_image": "astrofuse_lab.surveys.ztf_images:ROWS",
    "hst/image": "astrofuse_lab.surveys.mast_cutouts:ROWS",
    "hst/deep_field_image": "astrofuse_lab.surveys.mast_cutouts:ROWS",
    "tess/image": "astrofuse_lab.surveys.mast_cutouts:ROWS",
    "jwst/image": "astrofuse_lab.surveys.jwst_images:IMAGE",
    "casda/image": "astrofuse_lab.surveys.casda_images:IMAGE",
    **{f"skyview/{name}": "astrofuse_lab.surveys.skyview:ROWS" for name in ("rosat", "swift_xrt", "galex", "wise", "iris", "nvss", "first", "sumss")},
    "sdss/spectrum": "astrofuse_lab.surveys.sdss:ROWS",
    "sdss/table": "astrofuse_lab.surveys.sdss:ROWS",
    "apogee/spectrum": "astrofuse_lab.surveys.apogee:SPECTRUM",
    "lamost/spectrum": "astrofuse_lab.surveys.lamost:SPECTRUM",
    "desi/spectrum": "astrofuse_lab.surveys.desi:SPECTRUM",
    "eso/spectrum": "astrofuse_lab.surveys.eso:SPECTRUM",
    "gaia/xp": "astrofuse_lab.surveys.gaia_spectra:ROWS",
    "gaia/rvs": "astrofuse_lab.surveys.gaia_spectra:ROWS",
    "gaia/light_curve": "astrofuse_lab.surveys.gaia_spectra:ROWS",
    "koa/hires_spectrum": "astrofuse_lab.surveys.koa_spectra:HIRES",
    "koa/hires": "astrofuse_lab.surveys.koa:ROWS",
    "koa/esi": "astrofuse_lab.surveys.koa:ROWS",
    "koa/deimos": "astrofuse_lab.surveys.koa:ROWS",
    "koa/lris": "astrofuse_lab.surveys.koa:ROWS",
    "koa/nires": "astrofuse_lab.surveys.koa:ROWS",
    "koa/nirspec": "astrofuse_lab.surveys.koa:ROWS",
    "koa/mosfire": "astrofuse_lab.surveys.koa:ROWS",
    "simbad/table": "astrofuse_lab.surveys.simbad:ROWS",
    "simbad/text": "astrofuse_lab.surveys.simbad:ROWS",
    "ned/text": "astrofuse_lab.surveys.ned:TEXT",
    "ads/text": "astrofuse_lab.surveys.ads:TEXT",
    "arxiv/text": "astrofuse_lab.surveys.arxiv:TEXT",
    "gcn/text": "astrofuse_lab.surveys.gcn:TEXT",
    "atel/text": "astrofuse_lab.surveys.atel:TEXT",
    "alma/text": "astrofuse_lab.surveys.alma_proposals:TEXT",
    **{f"{name}/text": "astrofuse_lab.surveys.tap_proposals:ROWS" for name in ("eso", "cadc", "koa")},
    "mast/text": "astrofuse_lab.surveys.mast_proposals:TEXT",
    "gracedb/table": "astrofuse_lab.surveys.gracedb:ROWS",
    "gracedb/sky_map": "astrofuse_lab.surveys.gracedb:ROWS",
    "gwosc/table": "astrofuse_lab.surveys.gwosc:ROWS",
    "gwosc/sky_map": "astrofuse_lab.surveys.gwosc_maps:SKY_MAP",
    "gwosc/strain": "astrofuse_lab.surveys.gwosc:ROWS",
    "icecube/table": "astrofuse_lab.surveys.icecube:TABLE",
    "chime/table": "astrofuse_lab.surveys.chime:TABLE",
    "goes/xrs": "astrofuse_lab.surveys.goes:XRS",
    "sdo/aia": "astrofuse_lab.surveys.sun:ROWS",
    "sdo/hmi": "astrofuse_lab.surveys.sun:ROWS",
    "soho/eit": "astrofuse_lab.surveys.sun:ROWS",
    "ztf/light_curve": "astrofuse_lab.surveys.ztf_curves:CURVE",
    "neowise/light_curve": "astrofuse_lab.surveys.neowise:CURVE",
    "kepler/light_curve": "astrofuse_lab.surveys.space_curves:ROWS",
    "k2/light_curve": "astrofuse_lab.surveys.space_curves:ROWS",
    "tess/light_curve": "astrofuse_lab.surveys.space_curves:ROWS",
    "asassn/light_curve": "astrofuse_lab.surveys.asassn:CURVE",
    "alerce/light_curve": "astrofuse_lab.surveys.brokers:ROWS",
    "alerce/image": "astrofuse_lab.surveys.brokers:ROWS",
    "alerce/table": "astrofuse_lab.surveys.brokers:ROWS",
    "fink/light_curve": "astrofuse_lab.surveys.brokers:ROWS",
    "fink/rubin_light_curve": "astrofuse_lab.surveys.brokers:ROWS",
    "lasair/light_curve": "astrofuse_lab.surveys.brokers:ROWS",
    "panstarrs/table": "astrofuse_lab.surveys.mast_tables:ROWS",
    "hubble/table": "astrofuse_lab.surveys.mast_tables:ROWS",
    "hsc/table": "astrofuse_lab.surveys.hsc:TABLE",
    "2mass/table": "astrofuse_lab.surveys.irsa:ROWS",
    "allwise/table": "astrofuse_lab.surveys.irsa:ROWS",
    "catwise/table": "astrofuse_lab.surveys.irsa:ROWS",
    "galex/table": "astrofuse_lab.surveys.vizier_tables:ROWS",
    "kids/table": "astrofuse_lab.surveys.eso_catalogues:TABLE",
    "chandra/table": "astrofuse_lab.surveys.chandra:TABLE",
    "auger/events": "astrofuse_lab.surveys.vizier_tables:ROWS",
    "lhaaso/table": "astrofuse_lab.surveys.vizier_tables:ROWS",
    "fashi/table": "astrofuse_lab.surveys.vizier_tables:ROWS",
    "fast/pulsars": "astrofuse_lab.surveys.fast_pulsars:TABLE",
    "einstein_probe/observations": "astrofuse_lab.surveys.einstein_probe:OBSERVATIONS",
    "china_vo/pulsars": "astrofuse_lab.surveys.china_vo_tables:PULSARS",
    **{f"practice/lock_loss{more}": "astrofuse_lab.surveys.simulators.lock_losses:SURVEYS" for more in ("", "_table")},
    **{f"datalab/{name}": "astrofuse_lab.surveys.datalab_tables:ROWS" for name in ("ls_dr10", "des_dr2", "delve_dr2", "nsc_dr2")},
}
"""A new survey is one file (see `template`) and one row here."""

MAKERS: dict[str, str] = {
    # af.surveys.<name>(...) makes a survey of any service by its address
    "hips": "astrofuse_lab.surveys.hips_cutouts:make",
    "tap": "astrofuse_lab.surveys.generic:tap",
    "cone": "astrofuse_lab.surveys.generic:cone",
    "sia1": "astrofuse_lab.surveys.generic:sia1",
    "sia2": "astrofuse_lab.surveys.generic:sia2",
    "ssa": "astrofuse_lab.surveys.generic:ssa",
    "obscore": "astrofuse_lab.surveys.generic:obscore",
    "vizier": "astrofuse_lab.surveys.vizier_tables:make",
    "xmatch": "astrofuse_lab.surveys.cross_match:make",
    "datalab": "astrofuse_lab.surveys.datalab_tables:make",
    "china_vo": "astrofuse_lab.surveys.china_vo_tables:make",
    "alerts": "astrofuse_lab.surveys.alert_packets:alerts",
}


def __getattr__(name: str) -> Any:
    if name in MAKERS:
        module, _, attribute = MAKERS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'astrofuse_lab.surveys' has no attribute {name!r}. It has {', '.join(MAKERS)}, list_surveys.")


GROUP = "astrofuse_lab.surveys"
"""Entry points of other packages: each names an instance that follows the protocol, under the survey's name."""


def names() -> list[str]:
    """All survey names: our own, then those that other installed packages bring."""
    return [*SURVEYS, *(name for name in sorted(_foreign()) if name not in SURVEYS)]


def get(name: "str | Survey") -> Survey:
    """The survey with this name; a survey object is given back as it is.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest ones.
    InputError
        If another package's entry point cannot be loaded or does not follow the protocol.
    """
    if not isinstance(name, str):
        if isinstance(name, Survey):
            return name
        raise InputError(f"{name!r} is no survey: give a name from af.list_surveys(), or an object made by af.surveys.tap(...) and its like.")
    if name not in SURVEYS:
        return _from_elsewhere(name)
    module, _, attribute = SURVEYS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, Mapping):
        found = found[name]
    assert isinstance(found, Survey), f"{name}: {module}.{attribute} does not follow the survey protocol"
    return found


def _foreign() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _from_elsewhere(name: str) -> Survey:
    points = _foreign()
    if name not in points:
        raise UnknownNameError("survey", name, names(), "af.list_surveys() shows them all.")
    try:
        found = points[name].load()
    except Exception as error:  # another package's code
        raise InputError(f"survey {name!r} comes from {points[name].value}, which cannot be loaded ({type(error).__name__}: {error}).") from error
    if not isinstance(found, Survey) or found.name != name:
        raise InputError(f"survey {name!r}: {points[name].value} does not follow the survey protocol (see docs/adding-a-survey.md).")
    return found


def list_surveys() -> "Table":
    """What can be fetched.

    Returns
    -------
    astropy Table
        One row a survey: name, modality, gives (class, pixel scale or wavelengths), bands, coverage (with the MOC that
        has it exactly, where one is published: `outlines.outline` gets it), release, citation,
        licence, extra (an optional package it needs), simulated.
    """
    from astropy.table import Table

    surveys = [get(name) for name in names()]
    return Table({
        "name": [s.name for s in surveys],
        "modality": [KIND_OF[s.gives] for s in surveys],
        "gives": [_gives(s) for s in surveys],
        "bands": [" ".join(s.bands) for s in surveys],
        "coverage": [_seen(s) for s in surveys],
        "release": [s.release for s in surveys],
        "citation": [s.citation for s in surveys],
        "licence": [s.licence for s in surveys],
        "extra": [getattr(s, "extra", "") for s in surveys],
        "simulated": [s.simulated for s in surveys],
    })  # fmt: skip


def _seen(survey: Survey) -> str:
    """Its sky in words, and by which MOC it is known exactly."""
    coverage = getattr(survey, "coverage", Coverage())
    return f"{coverage.words}; exactly: MOC {coverage.moc}" if coverage.moc and not coverage.words.startswith("all sky") else coverage.words


def _gives(survey: Survey) -> str:
    scale, wavelengths = getattr(survey, "scale", None), getattr(survey, "wavelengths", None)
    more = f", {scale:g} arcsec per pixel" if scale else f", {wavelengths[0]:g} to {wavelengths[1]:g} Å" if wavelengths else ""
    return survey.gives.__name__ + more
