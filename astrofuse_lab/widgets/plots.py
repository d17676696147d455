"""Plots that a person reads, ``af.plot``: HoloViews elements, so that they can be restyled and composed with ``+`` and ``*``.

Each says its units, draws its uncertainty, shows what is masked as such, and carries the badge where data are simulated.
"""

from astrofuse_lab.widgets.plot_coverage import coverage
from astrofuse_lab.widgets.plot_judging import pit, purity_completeness, residuals, roc
from astrofuse_lab.widgets.plot_responses import contributions, response
from astrofuse_lab.widgets.plot_runs import calibration, comparison, confusion, embedding, learning_curve
from astrofuse_lab.widgets.plot_samples import image, light_curve, spectrum
from astrofuse_lab.widgets.plot_scores import early_times, forest, label_curve, leaderboard, subgroups, subsets
from astrofuse_lab.widgets.plot_series import series
from astrofuse_lab.widgets.plot_twin import tables, words

__all__ = [
    "calibration", "comparison", "confusion", "contributions", "coverage", "early_times", "embedding", "forest", "image", "label_curve", "leaderboard", "learning_curve",
    "light_curve", "pit", "purity_completeness", "residuals", "response", "roc", "series", "spectrum", "subgroups", "subsets", "tables", "words",
]  # fmt: skip
