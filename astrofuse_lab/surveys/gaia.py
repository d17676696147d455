"""Gaia DR3 catalogue rows from ESA's archive, by TAP, many positions to a query.

Source: table ``gaiadr3.gaia_source``, Gaia DR3 documentation, section 20.1.1
(https://gea.esac.esa.int/archive/documentation/GDR3/Gaia_archive/chap_datamodel/sec_dm_main_source_catalogue/ssec_dm_gaia_source.html).
Positions are at epoch J2016.0.
"""

from astrofuse_lab.surveys import transport
from astrofuse_lab.surveys.archive import Coverage
from astrofuse_lab.surveys.tap_table import TapTable
from astrofuse_lab.targets import GAIA_EPOCH, Targets

URL = "https://gea.esac.esa.int/tap-server/tap"

# column: unit, role. What Gaia says an object is (candidates, class probabilities, variability) is no input:
# it would hand a classifier somebody else's answer. Positions are none either.
COLUMNS: dict[str, tuple[str, str]] = {
    "source_id": ("", "id"),
    "ra": ("deg", "other"), "dec": ("deg", "other"),
    "parallax": ("mas", "input"), "parallax_error": ("mas", "input"),
    "pmra": ("mas / yr", "input"), "pmra_error": ("mas / yr", "input"),
    "pmdec": ("mas / yr", "input"), "pmdec_error": ("mas / yr", "input"),
    "ruwe": ("", "input"), "astrometric_excess_noise": ("mas", "input"), "astrometric_excess_noise_sig": ("", "input"),
    "phot_g_mean_mag": ("mag", "input"), "phot_bp_mean_mag": ("mag", "input"), "phot_rp_mean_mag": ("mag", "input"),
    "phot_g_mean_flux_over_error": ("", "input"), "phot_bp_mean_flux_over_error": ("", "input"), "phot_rp_mean_flux_over_error": ("", "input"),
    "bp_rp": ("mag", "input"), "phot_bp_rp_excess_factor": ("", "input"),
    "radial_velocity": ("km / s", "input"), "radial_velocity_error": ("km / s", "input"),
    "teff_gspphot": ("K", "input"), "logg_gspphot": ("dex(cm / s2)", "input"), "mh_gspphot": ("dex", "input"),
    "distance_gspphot": ("pc", "input"), "ag_gspphot": ("mag", "input"),
    "phot_variable_flag": ("", "other"), "non_single_star": ("", "other"),
    "in_qso_candidates": ("", "other"), "in_galaxy_candidates": ("", "other"),
    "classprob_dsc_combmod_quasar": ("", "other"), "classprob_dsc_combmod_galaxy": ("", "other"), "classprob_dsc_combmod_star": ("", "other"),
}  # fmt: skip
CITATION = (
    "This work has made use of data from the European Space Agency (ESA) mission Gaia (https://www.cosmos.esa.int/gaia), processed by the "
    "Gaia Data Processing and Analysis Consortium (DPAC, https://www.cosmos.esa.int/web/gaia/dpac/consortium). Funding for the DPAC has been "
    "provided by national institutions, in particular the institutions participating in the Gaia Multilateral Agreement. "
    "Cite Gaia Collaboration, Prusti et al. 2016, A&A 595, A1 and Gaia Collaboration, Vallenari et al. 2023, A&A 674, A1."
)


def gaia_table(url: str = URL, timeout: float = transport.SILENCE) -> TapTable:
    """The Gaia DR3 source nearest to each target, from a TAP service that has ``gaiadr3.gaia_source`` and takes uploads."""
    return TapTable(
        name="gaia/table", url=url, timeout=timeout, table="gaiadr3.gaia_source", columns=COLUMNS, epoch=GAIA_EPOCH, id_column="source_id",
        label="designation", motion=("pmra", "pmdec"), order="random_index", release="Gaia DR3", citation=CITATION,
        licence="open and free to use with credit to ESA/Gaia/DPAC", coverage=Coverage("all sky", moc="CDS/I/355/gaiadr3"),
    )  # fmt: skip


TABLE = gaia_table()
UNITS, ROLES = TABLE.units, TABLE.roles


def objects_in(ra: float, dec: float, radius: float, n: int) -> Targets:
    """`TapTable.objects_in` of ESA's archive; what ``Targets.from_region(..., survey="gaia/table")`` calls."""
    return TABLE.objects_in(ra, dec, radius, n)
