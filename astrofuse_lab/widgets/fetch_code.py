"""The lines of Python that do what the fetch view is set to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """What the view is set to.

    Attributes
    ----------
    mode : str
        Where targets come from: region, lines, file, given.
    center, circle, count, finder
        Of a region; `circle` is its radius in deg.
    lines, file : str
        What was typed; the name of the file.
    skip : bool
        Leave out lines and rows that are no targets.
    kept : sequence of str, optional
        Ids chosen on the sky; None: all.
    surveys : sequence of str
    radius, size : float
        arcsec.
    options : mapping
    pixels, scale
        Of the common image grid; `scale` in arcsec.
    """

    mode: str
    center: str
    circle: float
    count: int
    finder: str
    lines: str
    file: str
    skip: bool
    kept: Sequence[str] | None
    surveys: Sequence[str]
    radius: float
    size: float
    options: Mapping[str, Any]
    pixels: int
    scale: float

    @classmethod
    def checked(cls, data: Mapping[str, Any]) -> "Settings":
        """Settings that came from a file, each made what it must be: none of them may bring a line of Python of its own.

        Raises
        ------
        KeyError, TypeError, ValueError
            If one is lacking or of another kind.
        """
        options = {str(survey): {str(name): float(value) for name, value in given.items()} for survey, given in data["options"].items()}
        kept = None if data["kept"] is None else [str(one) for one in data["kept"]]
        read: dict[str, Any] = {name: float(data[name]) for name in ("circle", "radius", "size", "scale")}
        read |= {name: int(data[name]) for name in ("count", "pixels")} | {name: str(data[name]) for name in ("mode", "center", "finder", "lines", "file")}
        return cls(skip=bool(data["skip"]), kept=kept, surveys=[str(one) for one in data["surveys"]], options=options, **read)


def code_of(now: Settings) -> str:
    """Targets, fetch, align, one line each."""
    return "\n".join(line for line in lines_of(now) if line)


def lines_of(now: Settings) -> tuple[str, str, str]:
    """The lines that make targets (none where they were given), fetch, and align."""
    skip = ", errors='skip'" if now.skip else ""
    ways = {
        "region": f"targets = af.Targets.from_region({now.center!r}, radius={now.circle:g} * u.deg, n={now.count}, survey={now.finder!r})",
        "lines": f"targets = af.Targets.from_text({now.lines!r}{skip})",
        # a browser tells a file's name, not its folder
        "file": f"targets = af.Targets.from_file({now.file!r}{skip})  # the file that was handed over, with its folder",
        "given": "",
    }
    kept = f"targets = targets.select({list(now.kept)!r})" if now.kept is not None else ""
    options = f", options={dict(now.options)!r}" if now.options else ""
    fetch = f"found = af.fetch(targets, surveys={list(now.surveys)!r}, radius={now.radius:g} * u.arcsec, size={now.size:g} * u.arcsec{options})"
    align = f"samples = af.align(found, image=af.PixelGrid({now.pixels}, {now.scale:g} * u.arcsec), spectrum=af.LogGrid(3800, 9200, 1e-3))"
    return "\n".join(line for line in (ways[now.mode], kept) if line), fetch, align
