"""The head of classes that contain each other: what it says of a class is never more than what it says of those above it."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from astrofuse_lab.errors import InputError
from astrofuse_lab.models.heads import UNKNOWN, About, Head
from astrofuse_lab.models.heads_classes import class_paths

CERTAIN = -1e-6
"""Largest log-probability: nearer to zero its complement is lost in single precision."""


class TaxonomyHead(Head):
    """Labels as nodes of a tree, at any depth, of which any number may hold: at each node the probability that it holds where the one above it does.

    A label's probability is the product along its path (the conditional sigmoids of Redmon & Farhadi 2017, arXiv:1612.08242, section 4, without
    their softmax between siblings: classes of a taxonomy need not exclude each other). One network then answers all questions, without
    contradictions, where one-against-rest networks know nothing of each other. `values` are log-odds of the labels, (batch, label);
    ``extra["given"]``, (batch, node): log-probabilities of each node given the one above it, the labels first and then what lies between them.

    Parameters
    ----------
    width, outputs, about, hidden, dropout
        As in `Head`.
    labels : sequence of str
        Names of the labels in the order of the target columns. (): labels without a tree, each by itself.
    tree : sequence of str
        ``["rrab<rrlyr", "rrlyr<puls"]``, e.g. ``get_taxonomy("ontological").tree(labels)``.

    Raises
    ------
    InputError
        For as many labels as there are not columns, or a tree that is none.
    """

    tasks = ("multi_label",)
    path: Tensor

    def __init__(
        self, width: int, outputs: int, about: About = UNKNOWN, *, labels: Sequence[str] = (), tree: Sequence[str] = (), hidden: int = 64, dropout: float = 0.1
    ) -> None:
        names = [str(name) for name in labels] or [f"label {i}" for i in range(outputs)]
        if len(names) != outputs or len(set(names)) < outputs:
            raise InputError(f"head 'taxonomy': labels={names} for {outputs} target columns; name each of them once, in their order.")
        paths = _paths(names, tree)
        self.nodes = tuple(dict.fromkeys([*names, *(node for path in paths for node in path)]))
        super().__init__(width, len(self.nodes), about, hidden=hidden, dropout=dropout)
        depth = max(map(len, paths))
        rows = [[self.nodes.index(node) for node in path] + [len(self.nodes)] * (depth - len(path)) for path in paths]
        self.register_buffer("path", torch.tensor(rows), persistent=False)

    def say(self, numbers: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Sums of log-probabilities along the paths, as log-odds."""
        given = F.logsigmoid(numbers)
        total = F.pad(given, (0, 1))[:, self.path].sum(2).clamp(max=CERTAIN)
        return total - torch.log(-torch.expm1(total)), {"given": given}


def _paths(names: Sequence[str], tree: Sequence[str]) -> list[tuple[str, ...]]:
    """From the top to each label, the label last; labels may lie inside of each other, unlike classes."""
    edges = [str(line).partition("<") for line in tree]
    parents = {child.strip(): parent.strip() for child, _, parent in edges}
    lowest = [name for name in dict.fromkeys([*parents, *names]) if name not in parents.values()]
    known = {node: path[: i + 1] for path in class_paths(lowest, tree) for i, node in enumerate(path)} if tree else {}
    return [known.get(name, (name,)) for name in names]
