"""China-VO through TAP: the pulsar catalogue of Xinjiang Astronomical Observatory, and any other table of its service.

Source: the VO registry's record ivo://xaovo/tap (https://data.xao.ac.cn/getRR/__system__/tap/run): a DaCHS service with uploads, tables ``pulsarcatalog.data``,
``fast_pul.fast_pul``, ``pul.pulsar``, ``ppmxl.main``, ``spm4.main``, ``nsone.nsone``, ``gaia.edr3lite``. Columns and units are asked of the service. The National
Astronomical Data Center (https://nadc.china-vo.org) has no TAP service in the registry; catalogues it publishes are had by their VizieR number, or from
https://nadc.china-vo.org as files.
"""

import re
from collections.abc import Sequence

from astrofuse_lab.errors import InputError
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.generic import tap
from astrofuse_lab.surveys.vo_columns import Wanted
from astrofuse_lab.surveys.vo_tables import VoTap

URL = "https://data.xao.ac.cn/tap"
THANKS = "This research has made use of the data center of Xinjiang Astronomical Observatory, Chinese Academy of Sciences (ivo://xaovo), a member of China-VO. "
LICENCE = "as stated by the data center, https://data.xao.ac.cn"


def make(table: str, *, columns: "Wanted | Sequence[str] | None" = None, name: str = "", citation: str = "") -> VoTap:
    """Any table of the service by its name: ``af.surveys.china_vo("ppmxl.main")``.

    Parameters
    ----------
    table : str
        Schema and table.
    columns : list of str, or mapping, optional
        As in `af.surveys.tap`; None: all.
    name, citation : str
        Of the survey; the citation of the catalogue goes after the data center's.

    Raises
    ------
    InputError
        If `table` is no schema and table.
    """
    if not re.fullmatch(r"\w+\.\w+", table):
        raise InputError(f"table={table!r}. Name a table with its schema: af.surveys.china_vo('pulsarcatalog.data').")
    return tap(URL, table=table, columns=columns, name=name, citation=THANKS + citation, licence=LICENCE, release=table)


PULSARS = make("pulsarcatalog.data", name="china_vo/pulsars", citation="Cite what the catalogue names as its source (https://data.xao.ac.cn/pulsarcatalog/q/cone/info).")
PULSARS.coverage = Coverage("pulsars known when the catalogue was made")
