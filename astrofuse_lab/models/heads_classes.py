"""Heads of classes that have an order, or a tree."""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.heads import UNKNOWN, About, Head


class OrdinalHead(Head):
    """Classes in an order: one number a sample, and thresholds that part the classes along it.

    The cumulative link (proportional odds) model of McCullagh 1980 with the logistic link: log-odds of being above step k are
    f(x) - b_k; the thresholds b ascend by construction, so that the classes' probabilities are never negative (CORAL, Cao et al.
    2020, arXiv:1901.07884, reaches the same order in its optimum). `values` are log-probabilities, (batch, class);
    ``extra["cumulative"]``, (batch, class - 1), the log-odds of being above each step.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    order : sequence of str
        The classes from low to high; the run's classes come in this order. (): as they are sorted.
    """

    tasks = ("classification",)

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, order: Sequence[str] = (), hidden: int = 64, dropout: float = 0.1
    ) -> None:
        super().__init__(width, outputs, about, hidden=hidden, dropout=dropout)
        if order and about.classes and tuple(map(str, order)) != about.classes:
            raise InputError(f"head 'ordinal': order={list(order)} is not the order of the classes, {', '.join(about.classes)}.")
        steps = torch.zeros(outputs - 1)
        steps[0] = -0.5 * (outputs - 2) * float(F.softplus(torch.zeros(())))
        self.steps = nn.Parameter(steps)

    def numbers(self, outputs: int) -> int:
        """One, whatever the number of classes."""
        return 1

    @property
    def thresholds(self) -> Tensor:
        """Where one class ends and the next begins, ascending, (class - 1,)."""
        return torch.cat([self.steps[:1], F.softplus(self.steps[1:])]).cumsum(0)

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Log-probabilities as differences of neighbouring cumulative ones."""
        thresholds = self.thresholds.float()
        above = numbers - thresholds
        # log(s(a) - s(b)) = log s(a) + log s(-b) + log(1 - exp(b - a)), and a - b does not depend on the sample
        gap = torch.log(-torch.expm1(thresholds[:-1] - thresholds[1:]))
        inner = F.logsigmoid(above[:, :-1]) + F.logsigmoid(-above[:, 1:]) + gap
        return torch.cat([F.logsigmoid(-above[:, :1]), inner, F.logsigmoid(above[:, -1:])], 1), {"cumulative": above}


# ---- trees of classes -----------------------------------------------------------------------------------------------


def class_paths(classes: Sequence[str], tree: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The nodes from the top of a tree down to each class, the class last.

    Parameters
    ----------
    classes : sequence of str
    tree : sequence of str
        ``["RRab<RRL", "RRc<RRL", "RRL<pulsating"]``: each node and its parent; a node without a parent is at the top. (): the classes' own
        names are paths, ``"pulsating/RRL/RRab"``.

    Raises
    ------
    InputError
        For a line that is none, a node with two parents or below itself, a class with others below it, or a lowest node that is no class.
    """
    if not tree:
        # nodes of one name in two branches are two nodes
        return [tuple("/".join(name.split("/")[: i + 1]) for i in range(name.count("/") + 1)) for name in classes]
    parents: dict[str, str] = {}
    for line in tree:
        child, sign, parent = (part.strip() for part in str(line).partition("<"))
        if not (child and sign and parent):
            raise InputError(f"head 'hierarchical': tree holds {line!r}; write each node and its parent as 'RRab<RRL'.")
        if parents.setdefault(child, parent) != parent:
            raise InputError(f"head 'hierarchical': {child!r} has two parents in the tree, {parents[child]!r} and {parent!r}.")
    inner = set(parents.values())
    for name in classes:
        if name in inner:
            below = next(child for child, parent in parents.items() if parent == name)
            raise InputError(f"head 'hierarchical': class {name!r} has {below!r} below it in the tree; classes are its lowest nodes. Call the node by another name.")
    strangers = sorted(set(parents) - inner - set(classes))
    if strangers:
        raise InputError(f"head 'hierarchical': {strangers[0]!r} is a lowest node of the tree but none of the classes, {', '.join(classes)}.")
    return [_upwards(name, parents) for name in classes]


def _upwards(name: str, parents: dict[str, str]) -> tuple[str, ...]:
    path = [name]
    while path[-1] in parents:
        path.append(parents[path[-1]])
        if path[-1] in path[:-1]:
            raise InputError(f"head 'hierarchical': in the tree {path[-1]!r} is below itself.")
    return tuple(reversed(path))


class HierarchicalHead(Head):
    """Classes as the lowest nodes of a tree: at each node a softmax over its children.

    The conditional probabilities of Bertinetto et al. 2020 (arXiv:1912.09393), parametrised directly; a class's probability is the
    product along its path. `values` are log-probabilities of the classes, (batch, class). ``extra["path"]``, (batch, class, depth):
    the log-probability of each node on a class's path given the one above it, the topmost first, zero beyond the class.
    ``extra["level_1"]``, ...: probabilities of the nodes at each level above the classes, (batch, node) in the order of `levels`;
    a class that ends higher up counts as a node of the lower levels.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    tree : sequence of str
        See `class_paths`.

    Attributes
    ----------
    levels : tuple of tuple of str
        Names of the nodes at each level above the classes.
    """

    tasks = ("classification",)
    path: Tensor

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, tree: Sequence[str] = (), hidden: int = 64, dropout: float = 0.1
    ) -> None:
        classes = about.classes or tuple(map(str, range(outputs)))
        paths = class_paths(classes, tree if about.classes else ())
        if about.classes and max(map(len, paths)) == 1:
            raise InputError(
                f"head 'hierarchical' needs a tree above the classes {', '.join(classes)}: Part.of('hierarchical', tree=['{classes[0]}<group', ...]), "
                "or classes named like 'group/class'."
            )
        edges = sorted({(path[i - 1] if i else "", node) for path in paths for i, node in enumerate(path)})
        self.siblings = [len(list(group)) for _, group in itertools.groupby(edges, key=lambda edge: edge[0])]
        super().__init__(width, len(edges), about, hidden=hidden, dropout=dropout)
        index = {node: i for i, (_, node) in enumerate(edges)}
        depth = max(map(len, paths))
        rows = [[index[node] for node in path] + [len(edges)] * (depth - len(path)) for path in paths]
        self.register_buffer("path", torch.tensor(rows), persistent=False)
        names = [[path[: level + 1][-1] for path in paths] for level in range(depth - 1)]
        self.levels = tuple(tuple(dict.fromkeys(row)) for row in names)
        for level, row in enumerate(names):
            member = torch.tensor([[float(name == node) for node in self.levels[level]] for name in row])
            self.register_buffer(f"member_{level + 1}", member, persistent=False)

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sums along the paths."""
        given = torch.cat([*(part.log_softmax(1) for part in numbers.split(self.siblings, 1)), numbers.new_zeros(len(numbers), 1)], 1)
        along = given[:, self.path]
        values = along.sum(2)
        levels = {f"level_{i + 1}": values.exp() @ self.get_buffer(f"member_{i + 1}") for i in range(len(self.levels))}
        return values, {"path": along, **levels}
