"""Which surveys there are: an explicit table, one row a survey."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.modalities import KIND_OF
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
    "gaia/table": "astrofuse_lab.surveys.gaia:TABLE",
    "hips/dss2": "astrofuse_lab.surveys.hips:ROWS",
    "hips/sdss": "astrofuse_lab.surveys.hips:ROWS",
    "hips/legacy": "astrofuse_lab.surveys.hips:ROWS",
    "hips/2mass": "astrofuse_lab.surveys.hips:ROWS",
}
"""A new survey is one file (see `template`) and one row here."""


def get(name: str) -> Survey:
    """The survey with this name.

    Raises
    ------
    UnknownNameError
        If there is none; names the nearest ones.
    """
    if name not in SURVEYS:
        raise UnknownNameError("survey", name, SURVEYS, "af.list_surveys() shows them all.")
    module, _, attribute = SURVEYS[name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, Mapping):
        found = found[name]
    assert isinstance(found, Survey), f"{name}: {module}.{attribute} does not follow the survey protocol"
    return found


def list_surveys() -> "Table":
    """What can be fetched.

    Returns
    -------
    astropy Table
        One row a survey: name, modality, bands, release, citation, licence, simulated.
    """
    from astropy.table import Table

    surveys = [get(name) for name in SURVEYS]
    return Table({
        "name": [s.name for s in surveys],
        "modality": [KIND_OF[s.gives] for s in surveys],
        "bands": [" ".join(s.bands) for s in surveys],
        "release": [s.release for s in surveys],
        "citation": [s.citation for s in surveys],
        "licence": [s.licence for s in surveys],
        "simulated": [s.simulated for s in surveys],
    })  # fmt: skip
