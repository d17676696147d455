"""TAP catalogues whose positions are known no better than arcminutes: a radius of their own, where the fetch's is smaller."""

from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field

from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.surveys.vo_tables import VoTap
from astrofuse_lab.targets import Targets


@dataclass
class WideTap(VoTap):
    """As `VoTap`. ``options={"<name>": {"radius": 600.0}}`` is how far from a target a row may lie, arcsec, where that is more than the fetch's radius."""

    _: KW_ONLY
    settings: Mapping[str, float | int | str | bool] = field(default_factory=lambda: {"radius": 0.0})

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """As `VoTap.query`, with the larger of the two radii."""
        own = float(self.chosen(ask).get("radius", 0.0))
        yield from super().query(targets, ask._replace(radius=max(ask.radius, own)))
