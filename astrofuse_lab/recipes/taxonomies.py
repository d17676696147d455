"""The taxonomies there are, as data: SCoPe's two, and what classes of other catalogues mean in them."""

from collections.abc import Mapping

from astrofuse_lab.errors import UnknownNameError
from astrofuse_lab.recipes.taxonomy import Taxonomy

_SCOPE = "SCoPe's configuration (ZwickyTransientFacility/scope-ml @ 67b0cfb, MIT); Healy et al. 2024, ApJS 272, 14"

TAXONOMIES: dict[str, Taxonomy] = {
    "phenomenological": Taxonomy.of(
        "phenomenological",
        """
vnv variable
  pnp periodic
    sin sinusoidal
      el ellipsoidal
    saw sawtooth
    mp multi-periodic
    longt long timescale
    e eclipsing
      ea detached binary
      eb semi-detached binary
      ew overcontact binary
    wp wrong period
      hp half period
      dp double period
  i irregular
    fla flaring
    dip dipping
nonvar* non-variable
  bogus bogus
    ext extended
    blend blend
    bright bright star
    artfct CCD artefact
""",
        _SCOPE,
    ),
    "ontological": Taxonomy.of(
        "ontological",
        """
accr* accretor
  agn active galactic nucleus
  cv cataclysmic variable
  yso young stellar object
bis non-accreting binary
  blyr beta Lyrae
  rscvn RS Canum Venaticorum
  wuma W Ursae Majoris
  hwvir HW Virginis
  emsms detached main-sequence pair
  peccb* peculiar compact binary
    nnser NN Serpentis
puls pulsator
  rrlyr RR Lyrae
    rrab RR Lyrae ab
    rrc RR Lyrae c
    rrd RR Lyrae d
    rre* RR Lyrae e
    rrblz RR Lyrae, Blazhko
  lpv long-period variable
    mir Mira
    srv semiregular
    osarg OGLE small-amplitude red giant
  rvtau RV Tauri
  dscu delta Scuti
  ceph2 population II Cepheid
    blher BL Herculis
    wvir W Virginis
  ceph Cepheid
    f fundamental mode
    o overtone
cbin compact binary
rdbkp redback pulsar
""",
        _SCOPE,
    ),
}  # fmt: skip
"""What can be said of a source by its ZTF light curve alone (22 classes asked), and what with all there is (30). The last two have a classifier but no place in the published tree."""

CRTS: Mapping[str, Mapping[str, float]] = {
    "EA": {"ea": 1, "ew": 0, "bis": 1, "wuma": 0, "rscvn": 0, "puls": 0, "longt": 0, "saw": 0},
    "EW": {"ew": 1, "ea": 0, "wuma": 1, "rscvn": 0, "puls": 0, "longt": 0, "saw": 0},
    "beta_lyrae": {"eb": 1, "ea": 0, "ew": 0, "blyr": 1, "rscvn": 0, "wuma": 0, "puls": 0, "longt": 0, "saw": 0},
    "RS_CVn": {"rscvn": 1, "wuma": 0, "puls": 0, "pnp": 1, "longt": 0, "saw": 0},
    "ELL": {"el": 1, "e": 0, "bis": 1, "rscvn": 0, "puls": 0, "longt": 0, "saw": 0},
    "PCEB": {"pnp": 1, "bis": 1, "rscvn": 0, "wuma": 0, "puls": 0, "longt": 0, "saw": 0},
    "RRab": {"saw": 1, "rrab": 1, "rrc": 0, "rrd": 0, "bis": 0, "e": 0, "lpv": 0, "dscu": 0, "ceph2": 0, "longt": 0},
    "RRc": {"pnp": 1, "rrc": 1, "rrab": 0, "rrd": 0, "bis": 0, "e": 0, "lpv": 0, "dscu": 0, "ceph2": 0, "longt": 0},
    "RRd": {"mp": 1, "rrd": 1, "rrab": 0, "rrc": 0, "bis": 0, "e": 0, "lpv": 0, "dscu": 0, "ceph2": 0, "longt": 0},
    "Blazhko": {"mp": 1, "rrblz": 1, "rrc": 0, "rrd": 0, "bis": 0, "e": 0, "lpv": 0, "dscu": 0, "ceph2": 0, "longt": 0},
    "HADS": {"pnp": 1, "dscu": 1, "rrlyr": 0, "lpv": 0, "ceph2": 0, "bis": 0, "e": 0, "longt": 0},
    "LADS": {"pnp": 1, "dscu": 1, "rrlyr": 0, "lpv": 0, "ceph2": 0, "bis": 0, "e": 0, "longt": 0},
    "Cep_II": {"pnp": 1, "ceph2": 1, "rrlyr": 0, "lpv": 0, "dscu": 0, "bis": 0, "e": 0, "longt": 0},
    "ACEP": {"pnp": 1, "puls": 1, "rrlyr": 0, "lpv": 0, "dscu": 0, "ceph2": 0, "bis": 0, "e": 0, "longt": 0},
    "LPV": {"longt": 1, "lpv": 1, "rrlyr": 0, "dscu": 0, "ceph2": 0, "bis": 0, "e": 0, "saw": 0},
    "Hump": {"pnp": 1},
}
"""What each class of Drake et al. 2014 (ApJS 213, 9) says of SCoPe's, by the classes' definitions: 1 it is, 0 it cannot be; what is not there, nobody knows.
Eclipses of PCEB and RS CVn stars are such cases: some have them. Real fractional votes are in SCoPe's own training set, which is not public here."""


def get_taxonomy(name: str) -> Taxonomy:
    """A taxonomy by its name, ``"phenomenological"`` or ``"ontological"``; UnknownNameError with the nearest ones."""
    if name not in TAXONOMIES:
        raise UnknownNameError("taxonomy", name, TAXONOMIES)
    return TAXONOMIES[name]


def fractions_of(label: str, meanings: Mapping[str, Mapping[str, float]] = CRTS) -> dict[str, float]:
    """Fractions of the classes of all taxonomies that a catalogue's label tells, closed up and down the trees; {} for a label that it does not know."""
    given = meanings.get(label, {})
    made: dict[str, float] = {}
    for taxonomy in TAXONOMIES.values():
        made |= taxonomy.closed({key: value for key, value in given.items() if key in taxonomy})
    return made
