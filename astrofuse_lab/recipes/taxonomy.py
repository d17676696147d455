"""Taxonomies: classes that contain each other, none excluding another by itself, so that each is a question of its own (yes or no).

A label is a fraction, as several people's votes give it: 0, 0.25, 0.5, 0.75, 1 in SCoPe (van Roestel et al. 2021, AJ 161, 267; Healy et al.
2024, ApJS 272, 14). What holds of a class holds of those above it, so a fraction is at least the largest below it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from astrofuse_lab.errors import InputError, UnknownNameError

THRESHOLD = 0.7
"""A class holds where its fraction is above this (SCoPe's configuration)."""
STEP = "  "


@dataclass(frozen=True)
class Node:
    """One class.

    Attributes
    ----------
    key, title : str
    parent : str
        Key of the class that contains it; "" at the top.
    asked : bool
        Whether the publication trains a classifier of it; else it only holds others together.
    """

    key: str
    title: str
    parent: str = ""
    asked: bool = True


class Taxonomy:
    """A tree of classes, or several.

    Parameters
    ----------
    name : str
    nodes : sequence of Node
        Parents before their children, keys unique.
    source : str

    Raises
    ------
    InputError
        For a key that comes twice, or a parent that comes later or not at all.
    """

    def __init__(self, name: str, nodes: Sequence[Node], source: str = "") -> None:
        self.name, self.source = name, source
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            if node.key in self.nodes:
                raise InputError(f"taxonomy {name!r}: {node.key!r} comes twice.")
            if node.parent and node.parent not in self.nodes:
                raise InputError(f"taxonomy {name!r}: {node.key!r} is below {node.parent!r}, which does not come before it.")
            self.nodes[node.key] = node

    @classmethod
    def of(cls, name: str, outline: str, source: str = "") -> "Taxonomy":
        """From lines ``key title``, two spaces deeper for what is inside; ``key* title`` is never asked by itself."""
        nodes: list[Node] = []
        path: list[str] = []
        for line in filter(str.strip, outline.splitlines()):
            word, _, title = line.strip().partition(" ")
            depth, over = divmod(len(line) - len(line.lstrip()), len(STEP))
            if over or depth > len(path):
                raise InputError(f"taxonomy {name!r}: {line!r} is not one step of two spaces deeper than the line it belongs to.")
            path = [*path[:depth], word.rstrip("*")]
            nodes.append(Node(path[-1], title or path[-1], path[-2] if depth else "", not word.endswith("*")))
        return cls(name, nodes, source)

    # ---- what it is ------------------------------------------------------------------------------------------------

    def __contains__(self, key: object) -> bool:
        return key in self.nodes

    def __len__(self) -> int:
        return len(self.nodes)

    def __getitem__(self, key: str) -> Node:
        if key not in self.nodes:
            raise UnknownNameError(f"class of the taxonomy {self.name!r}", key, self.nodes)
        return self.nodes[key]

    def __repr__(self) -> str:
        return f"Taxonomy({self.name!r}, {len(self)} classes, {len(self.asked)} of them asked)"

    def __str__(self) -> str:
        return "\n".join(f"{STEP * len(self.ancestors(key))}{key} {node.title}" for key, node in self.nodes.items())

    @property
    def asked(self) -> tuple[str, ...]:
        """The classes that have a classifier of their own."""
        return tuple(key for key, node in self.nodes.items() if node.asked)

    def ancestors(self, key: str) -> tuple[str, ...]:
        """The classes that contain one, from the top down."""
        above: list[str] = []
        while parent := self[key].parent:
            above.insert(0, parent)
            key = parent
        return tuple(above)

    def children(self, key: str = "") -> tuple[str, ...]:
        """The classes right below one; "": those at the top."""
        if key:
            self[key]
        return tuple(name for name, node in self.nodes.items() if node.parent == key)

    def descendants(self, key: str) -> tuple[str, ...]:
        """All classes inside of one."""
        self[key]
        return tuple(name for name in self.nodes if key in self.ancestors(name))

    def tree(self, keys: Iterable[str]) -> list[str]:
        """Lines ``"rrab<rrlyr"`` of these classes and all above them, as the heads ``hierarchical`` and ``taxonomy`` take them."""
        wanted = {one for key in keys for one in (key, *self.ancestors(key))}
        return [f"{key}<{node.parent}" for key, node in self.nodes.items() if key in wanted and node.parent]

    # ---- labels ----------------------------------------------------------------------------------------------------

    def closed(self, fractions: Mapping[str, float]) -> dict[str, float]:
        """Fractions of all classes that can be told: each at least the largest below it; what nobody spoke of, and nothing below it says, is not there.

        Where a class has the fraction 0, so have all inside of it.

        Raises
        ------
        InputError
            For a fraction outside of 0 to 1, or one that lies above that of a class whose fraction is given as 0.
        """
        given = {key: self._fraction(key, value) for key, value in fractions.items()}
        made = dict(given)
        for key, value in given.items():
            for above in self.ancestors(key) if value > 0 else ():
                if given.get(above) == 0:
                    raise InputError(f"{key!r} is {value:g} and {above!r}, which contains it, is 0: one of the two is wrong.")
                made[above] = max(made.get(above, 0.0), value)
        for key in self.nodes:
            if any(made.get(above) == 0 for above in self.ancestors(key)):
                made[key] = 0.0
        return {key: made[key] for key in self.nodes if key in made}

    def contradictions(self, fractions: Mapping[str, float], slack: float = 0.0) -> list[tuple[str, str, float]]:
        """Where a class has more than one that contains it: (class, the nearest such, by how much), the worst first.

        Of labels it is a mistake; of scores of classifiers that know nothing of each other it shows how well they agree.
        """
        found = []
        for key, value in fractions.items():
            above = next((one for one in reversed(self.ancestors(key)) if one in fractions), "")
            if above and value - fractions[above] > slack:
                found.append((key, above, float(value - fractions[above])))
        return sorted(found, key=lambda one: -one[2])

    def answer(self, fraction: float, threshold: float = THRESHOLD) -> bool | None:
        """Whether a class holds: its fraction is above the threshold; None where nobody knows (NaN)."""
        return None if fraction != fraction else fraction > threshold

    def _fraction(self, key: str, value: float) -> float:
        self[key]
        if not 0 <= value <= 1:
            raise InputError(f"{key!r} has the fraction {value!r}; from 0 to 1 is expected. Leave out what nobody knows.")
        return float(value)
