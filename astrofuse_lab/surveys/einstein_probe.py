"""Einstein Probe: which public observations there are of a target.

No public catalogue of Einstein Probe's sources was found: none in VizieR or HEASARC, ESA's archive has tables of products only, and the mission's own lists of sources
(https://ep.bao.ac.cn/ep/) want an account that is given by invitation. Public are the
level 2 and 3 products of its observations in ESA's Multi-Mission Data Services, TAP service https://emds.esac.esa.int/service/tap, table
``einsteinprobe.obscore_extended`` (https://astroquery.readthedocs.io/en/latest/esa/emds/einsteinprobe/einsteinprobe.html); columns as in ObsCore 1.1
(https://www.ivoa.net/documents/ObsCore/20170509/). The row is the product nearest to the target, `match_count` how many products lie within the radius.
Transients are announced in GCN Circulars (``gcn/text``).
"""

from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.wide_tap import WideTap

COLUMNS = ("obs_id", "target_name", "instrument_name", "dataproduct_type", "calib_level", "s_ra", "s_dec", "t_min", "t_max", "t_exptime", "access_url")
OBSERVATIONS = WideTap(
    name="einstein_probe/observations", url="https://emds.esac.esa.int/service/tap", table="einsteinprobe.obscore_extended", ra="s_ra", dec="s_dec", id_column="obs_id",
    columns={name: (name, "d" if name in ("t_min", "t_max") else "s" if name == "t_exptime" else "deg" if name in ("s_ra", "s_dec") else "") for name in COLUMNS},
    roles={name: "id" if name == "obs_id" else "other" for name in COLUMNS}, settings={"radius": 1800.0}, uploads=None, threads=2,
    release="Einstein Probe Space Archive (EPSA)", coverage=Coverage("pointings of FXT (1 deg wide) and WXT (3,600 deg2) that are public"),
    citation=(
        "Based on data obtained with Einstein Probe, a space mission led by the Chinese Academy of Sciences (CAS) in collaboration with the European Space Agency (ESA) and the "
        "Max Planck Institute for Extraterrestrial Physics (MPE). Cite Yuan et al. 2022, Handbook of X-ray and Gamma-ray Astrophysics, 86."
    ),
    licence="public products of the archive, with credit to the mission",
)  # fmt: skip
