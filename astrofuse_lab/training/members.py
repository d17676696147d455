"""A run, or an ensemble's runs: what asks either asks these. Light: nothing of torch is imported here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from astrofuse_lab.training.ensembles import Ensemble
    from astrofuse_lab.training.run import Run


def runs_of(source: "Run | Ensemble") -> "tuple[Run, ...]":
    """The runs of an ensemble, or the one."""
    return tuple(getattr(source, "runs", (source,)))
