"""What the objects of the practice sky are: classes, kinds within them, and every number an instrument needs.

Each class contains kinds that look like another class in one modality or another; the table is in ``docs/practice-sky.md``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.random import Generator

from astrofuse_lab.surveys.practice.sed import Sed
from astrofuse_lab.surveys.practice.shapes import Shape

SHARES: dict[str, float] = {"star": 0.18, "galaxy": 0.18, "quasar": 0.16, "supernova": 0.16, "variable_star": 0.16, "asteroid": 0.16}
"""How often each class occurs: balanced for teaching, not as in the sky."""
CLASSES = tuple(SHARES)
SEASON = (59_200.0, 59_430.0)
"""First and last night of the light-curve survey, MJD (UTC)."""


@dataclass(frozen=True)
class Component:
    """One piece of an object's light.

    Attributes
    ----------
    sed : Sed
    mag : float
        r magnitude (AB), at mean light or, for a transient, at maximum.
    shape : Shape
    east, north : float
        Offset from the target position, arcsec.
    varies : bool
        The light curve of the source belongs to this component.
    """

    sed: Sed
    mag: float
    shape: Shape = Shape()
    east: float = 0.0
    north: float = 0.0
    varies: bool = False


@dataclass(frozen=True)
class Source:
    """Everything that is true of an object.

    Attributes
    ----------
    number, name, ra, dec, pointing
        Where it is; `pointing` is the field whose weather it shares.
    label, kind : str
        Class, and kind within the class.
    redshift : float or None
    components : tuple of Component
    behaviour : str
        How it varies: a key of `variability.BEHAVIOURS`.
    numbers : mapping of str to float
        Period, amplitude, peak time, rates ...: what the behaviour and the instruments need.
    """

    number: int
    name: str
    ra: float
    dec: float
    pointing: str
    seed: int
    label: str
    kind: str
    components: tuple[Component, ...]
    behaviour: str = "constant"
    redshift: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Nature:
    """What is drawn for an object: the fields of `Source` that do not depend on where it is."""

    kind: str
    components: tuple[Component, ...]
    behaviour: str = "constant"
    redshift: float | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


def random(seed: int, number: int, stream: int) -> Generator:
    """The random numbers of one object and purpose."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number, stream])))


def _among(rng: Generator, shares: Mapping[str, float]) -> str:
    return str(rng.choice(list(shares), p=np.array(list(shares.values())) / sum(shares.values())))


def _motion(rng: Generator, speed: float, distance: float) -> dict[str, float]:
    """Proper motion (mas/yr) of a typical transverse `speed` (km/s) and parallax (mas) at a distance (kpc)."""
    angle = rng.uniform(0, 2 * np.pi)
    motion = abs(rng.normal(1.0, 0.4)) * speed / (4.74 * distance)
    return {"parallax": 1.0 / distance, "pmra": float(motion * np.sin(angle)), "pmdec": float(motion * np.cos(angle))}


def _star(rng: Generator) -> Nature:
    kind = _among(rng, {"dwarf": 0.5, "solar": 0.3, "halo": 0.1, "blue": 0.1})
    mag = rng.uniform(16.3, 19.7)
    temperature = {"dwarf": rng.uniform(3400, 6500), "solar": rng.uniform(5400, 6100), "halo": rng.uniform(6000, 7400), "blue": rng.uniform(8000, 22_000)}[kind]
    # fainter stars are farther; halo and blue stars are luminous, so their motions are lost in the errors
    distance = {"dwarf": 0.35, "solar": 2.0, "halo": 6.0, "blue": 4.0}[kind] * 10 ** (0.2 * (mag - 18.0)) * float(np.exp(rng.normal(0, 0.4)))
    return Nature(kind, (Component(Sed("stellar", 0.0, {"temperature": temperature}), mag),), numbers=_motion(rng, 40 if kind == "dwarf" else 120, distance))


def _variable_star(rng: Generator) -> Nature:
    kind = _among(rng, {"pulsator": 0.3, "eclipsing": 0.25, "long_period": 0.15, "outburst": 0.12, "flare": 0.18})
    mag = rng.uniform(16.3, 19.5)
    temperature = {
        "pulsator": rng.uniform(6000, 7600), "eclipsing": rng.uniform(3800, 9000), "long_period": rng.uniform(3000, 3700),
        "outburst": rng.uniform(7500, 14_000), "flare": rng.uniform(2900, 3400),
    }[kind]  # fmt: skip
    distance = {"pulsator": 6.0, "eclipsing": 0.8, "long_period": 9.0, "outburst": 0.6, "flare": 0.15}[kind] * float(np.exp(rng.normal(0, 0.4)))
    peak = rng.uniform(SEASON[0] + 25, SEASON[1] - 40)
    numbers = {"phase": rng.uniform()}
    if kind == "pulsator":
        numbers |= {"period": float(np.exp(rng.uniform(np.log(0.35), np.log(9.0)))), "amplitude": rng.uniform(0.35, 1.4)}
    elif kind == "eclipsing":
        numbers |= {"period": float(np.exp(rng.uniform(np.log(0.3), np.log(6.0)))), "amplitude": rng.uniform(0.4, 2.0), "second": rng.uniform(0.1, 0.9)}
    elif kind == "long_period":
        numbers |= {"period": rng.uniform(80, 300), "amplitude": rng.uniform(0.8, 4.0)}
    elif kind == "outburst":
        mag, numbers = rng.uniform(19.3, 21.5), {"peak": peak, "rise": rng.uniform(1, 4), "fall": rng.uniform(6, 25), "amplitude": rng.uniform(1.5, 4.0)}
    else:
        mag, numbers = rng.uniform(19.5, 22.0), {"peak": peak, "rise": 0.01, "fall": rng.uniform(0.05, 0.15), "amplitude": rng.uniform(2.0, 4.0)}
    emission = rng.uniform(0.5, 2.0) if kind in ("outburst", "flare") else 0.0
    sed = Sed("stellar", 0.0, {"temperature": temperature, "emission": emission})
    return Nature(kind, (Component(sed, mag, varies=True),), kind, numbers=numbers | _motion(rng, 60, distance))


def _galaxy_components(rng: Generator, redshift: float, mag: float, young: float, size: float | None = None) -> tuple[Component, ...]:
    """A bulge and a disc, sharing an axis; the bulge is old; large young discs have arms."""
    radius = size or float(np.clip(rng.lognormal(np.log(0.5 / (redshift + 0.06)), 0.35), 0.5, 7.0))
    angle, ratio = rng.uniform(0, 180), rng.uniform(0.25, 1.0)
    bulge = float(np.clip(0.75 - 0.8 * young + rng.normal(0, 0.12), 0.05, 0.95))
    lines = float(np.exp(rng.normal(0, 0.5)))
    old = Sed("galactic", redshift, {"young": 0.02 + 0.1 * young, "lines": lines})
    new = Sed("galactic", redshift, {"young": young, "lines": lines})
    inner = Shape(radius * (0.8 if bulge > 0.5 else 0.35), 3.5, 0.4 + 0.6 * ratio, angle)
    disc = Component(new, mag - 2.5 * float(np.log10(1 - bulge)), Shape(radius, 1.0, ratio, angle))
    arms = _arms(rng, disc) if young > 0.3 and radius > 1.2 else ()
    return (Component(old, mag - 2.5 * float(np.log10(bulge)), inner), disc, *arms)


def _arms(rng: Generator, disc: Component) -> tuple[Component, ...]:
    """Knots of young stars along two logarithmic spirals in the plane of a disc, with a quarter of its light in all."""
    count, pitch, start = int(rng.integers(6, 13)), np.tan(np.radians(rng.uniform(12, 30))), rng.uniform(0, np.pi)
    light = rng.dirichlet(np.full(count, 2.0))
    s, c = np.sin(np.radians(disc.shape.angle)), np.cos(np.radians(disc.shape.angle))
    sed = disc.sed.but(young=min(disc.sed.numbers["young"] + 0.3, 1.0))
    knots = []
    for k in range(count):
        distance = disc.shape.radius * rng.uniform(0.5, 1.9)
        turn = start + np.pi * (k % 2) + np.log(distance / disc.shape.radius) / pitch + rng.normal(0, 0.12)
        along, across = distance * np.cos(turn), distance * np.sin(turn) * disc.shape.axis_ratio
        mag = disc.mag + 1.5 - 2.5 * float(np.log10(light[k]))
        knots.append(Component(sed, mag, Shape(0.12 * disc.shape.radius, 0.5), float(along * s + across * c), float(along * c - across * s)))
    return tuple(knots)


def _galaxy(rng: Generator) -> Nature:
    kind = _among(rng, {"spiral": 0.36, "elliptical": 0.31, "compact": 0.18, "knotted": 0.15})
    redshift = rng.uniform(0.25, 0.6) if kind == "compact" else rng.uniform(0.02, 0.35)
    mag = rng.uniform(16.3, 19.6) if kind != "compact" else rng.uniform(17.5, 20.0)
    young = {"spiral": rng.uniform(0.3, 0.8), "elliptical": rng.uniform(0, 0.1), "compact": rng.uniform(0.2, 1.0), "knotted": rng.uniform(0.4, 0.9)}[kind]
    components = _galaxy_components(rng, redshift, mag, young, rng.uniform(0.2, 0.5) if kind == "compact" else None)
    if kind == "knotted":  # a bright H II region or a foreground star: in one picture, a supernova
        distance, angle = components[1].shape.radius * rng.uniform(0.6, 1.6), rng.uniform(0, 2 * np.pi)
        knot = Sed("stellar", 0.0, {"temperature": rng.uniform(5000, 11_000)})
        east, north = float(distance * np.sin(angle)), float(distance * np.cos(angle))
        components += (Component(knot, mag + rng.uniform(0.3, 1.8), Shape(), east, north),)
    return Nature(kind, components, redshift=redshift)


def _quasar(rng: Generator) -> Nature:
    kind = _among(rng, {"broad_line": 0.58, "hosted": 0.22, "blazar": 0.2})
    redshift = rng.uniform(0.08, 0.45) if kind == "hosted" else rng.uniform(0.4, 3.0)
    mag = rng.uniform(17.8, 20.4)
    lines = rng.uniform(0.0, 0.05) if kind == "blazar" else float(np.exp(rng.normal(-0.1, 0.45)))
    slope = rng.normal(-1.1, 0.4) if kind == "blazar" else rng.normal(-1.6, 0.25)
    sed = Sed("active", redshift, {"slope": slope, "lines": lines, "width": float(np.exp(rng.normal(np.log(4000), 0.3)))})
    components: tuple[Component, ...] = (Component(sed, mag, varies=True),)
    if kind == "hosted":
        components = (*_galaxy_components(rng, redshift, mag + rng.normal(0.0, 0.7), rng.uniform(0.1, 0.7)), *components)
    # structure function near 0.2 mag at a hundred days (MacLeod et al. 2010, arXiv:1004.0276); blazars are faster and stronger
    fast = kind == "blazar"
    numbers = {"tau": float(np.exp(rng.normal(np.log(12 if fast else 90), 0.5))), "amplitude": float(np.exp(rng.normal(np.log(0.55 if fast else 0.36), 0.35)))}
    return Nature(kind, components, "damped_walk", redshift, numbers)


def _supernova(rng: Generator) -> Nature:
    spectral = _among(rng, {"ia": 0.55, "ii": 0.45})
    place = _among(rng, {"offset": 0.68, "nuclear": 0.14, "hostless": 0.18})
    redshift = float(np.clip(rng.gamma(3.0, 0.022) + 0.01, 0.01, 0.2))
    mag = float(np.clip(rng.normal(18.3, 0.8), 16.3, 20.0))
    peak = rng.uniform(SEASON[0] - 15, SEASON[1] - 15)
    numbers = {"peak": peak, "stretch": float(np.clip(rng.normal(1, 0.1), 0.75, 1.3)), "plateau": rng.uniform(60, 110)}
    # pictures and spectra are taken when somebody points there: mostly near maximum, some when it has faded
    numbers |= {"image_time": peak + rng.gamma(1.3, 20.0) - 7.0, "spectrum_time": peak + rng.gamma(1.5, 12.0) - 9.0}
    explosion = Component(Sed(f"exploding_{spectral}", redshift, {"phase": 0.0}), mag, varies=True)
    if place == "hostless":
        return Nature(f"{spectral}_{place}", (explosion,), f"supernova_{spectral}", redshift, numbers)
    host = _galaxy_components(rng, redshift, mag + rng.normal(-0.3, 1.0), rng.uniform(0.05, 0.8) if spectral == "ia" else rng.uniform(0.4, 0.9))
    distance = rng.uniform(0, 0.25) if place == "nuclear" else host[1].shape.radius * rng.uniform(0.5, 1.6)
    angle = rng.uniform(0, 2 * np.pi)
    east, north = float(distance * np.sin(angle)), float(distance * np.cos(angle))
    moved = tuple(replace(c, east=c.east + east, north=c.north + north) for c in host)
    return Nature(f"{spectral}_{place}", (*moved, explosion), f"supernova_{spectral}", redshift, numbers)


def _asteroid(rng: Generator) -> Nature:
    kind = _among(rng, {"near": 0.52, "main_belt": 0.26, "blended": 0.22})
    rocky = rng.uniform() < 0.5
    sed = Sed("reflected", 0.0, {"slope": rng.uniform(0.05, 0.13) if rocky else rng.uniform(-0.03, 0.03), "band": rng.uniform(0.05, 0.2) if rocky else 0.0})
    # one exposure of 90 s: 0.03 arcsec a second close by, a barely visible stretch in the main belt
    length, angle = rng.uniform(1.5, 7.0) if kind == "near" else rng.uniform(0.2, 1.2), rng.uniform(0, 180)
    component = Component(sed, rng.uniform(16.5, 20.2), Shape(angle=angle, length=length), varies=True)
    numbers = {"peak": rng.uniform(SEASON[0] + 5, SEASON[1] - 5), "period": rng.uniform(0.15, 0.6), "amplitude": rng.uniform(0.05, 0.4), "phase": rng.uniform()}
    if kind != "blended":
        return Nature(kind, (component,), "passing", numbers=numbers)
    # it passes a star that is always there: catalogue and light curve know the star
    star = _star(rng)
    behind = replace(star.components[0], mag=rng.uniform(18.3, 20.6), east=float(rng.normal(0, 0.5)), north=float(rng.normal(0, 0.5)))
    return Nature(kind, (behind, component), "passing", numbers={**numbers, **star.numbers})


NATURES: dict[str, Callable[[Generator], Nature]] = {
    "star": _star, "galaxy": _galaxy, "quasar": _quasar, "supernova": _supernova, "variable_star": _variable_star, "asteroid": _asteroid,
}  # fmt: skip


def draw(number: int, name: str, ra: float, dec: float, where: str, seed: int) -> Source:
    """The object with this number on the sky with this seed."""
    rng = random(seed, number, 0)
    label = _among(rng, SHARES)
    nature = NATURES[label](rng)
    return Source(
        number, name, ra, dec, where, seed, label, nature.kind, nature.components, nature.behaviour, nature.redshift, nature.numbers,
    )  # fmt: skip
