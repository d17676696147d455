"""Targets typed by a person: one a line, a name or a position."""

from astrofuse_lab.errors import TargetError
from astrofuse_lab.targets import Target, Targets


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def parse_line(line: str, index: int) -> Target | str | None:
    """A position as a Target (``ra dec`` or ``id ra dec``, deg, ICRS), anything else as a name; None for an empty line or a comment."""
    text = line.split("#")[0].strip()
    if not text:
        return None
    words = text.replace(",", " ").split()
    numbers = [_number(w) for w in words]
    if len(words) == 2 and None not in numbers:
        return Target(f"target-{index:05d}", numbers[0], numbers[1])  # type: ignore[arg-type]
    if len(words) == 3 and None not in numbers[1:] and numbers[0] is None:
        return Target(words[0], numbers[1], numbers[2])  # type: ignore[arg-type]
    return text


def parse_targets(text: str) -> Targets:
    """Targets from lines, in their order; names are resolved together.

    Raises
    ------
    TargetError
        If there is no line, a name does not resolve, or a position is off the sky.
    ArchiveError
        If the name resolver cannot be reached.
    """
    from astrofuse_lab.fetching import Targets as Bound

    entries = [parse_line(line, i) for i, line in enumerate(text.splitlines())]
    names = [e for e in entries if isinstance(e, str)]
    positions = [e for e in entries if isinstance(e, Target)]
    if not names and not positions:
        raise TargetError("no targets yet. Type one a line: a name, or RA and Dec in degrees, e.g. 150.1 2.2")
    if not names:
        return Targets(positions)
    resolved = Bound.from_names(names)
    by_name = {t.object_id: t for t in resolved}
    ordered = [e if isinstance(e, Target) else by_name.get(" ".join(e.split())) for e in entries if e is not None]
    known = [t for t in ordered if t is not None]
    # a resolver may give a name of its own to what was asked for; then order is all there is to go by
    return Targets(dict.fromkeys(known), resolved.notes) if len(known) == len(ordered) else Targets([*positions, *resolved], resolved.notes)
