"""One modality shown as another: named steps that a recipe's `inputs` can ask for, on batches of arrays.

::

    recipe.change(inputs={"light_curve": Part.of("dmdt", edges="scope")})
    samples.represent("light_curve", "dmdt", edges="scope")
"""

from collections.abc import Mapping
from typing import Any

from astrofuse_lab.alignment.representations import (
    alert_numbers,
    daily_curves,
    dmdt,
    dmdt_series,
    features,
    folding,
    low_resolution,
    period_search,
    periods,
    pictures,
    time_frequency,
    uneven_wavelet,
    views,
)
from astrofuse_lab.alignment.representations.common import Arrays, Columns, Layout, Options, Representation
from astrofuse_lab.errors import InputError, UnknownNameError

__all__ = ["REPRESENTATIONS", "Arrays", "Columns", "Layout", "Options", "Representation", "options_of", "representation"]

CURVES, EVEN = ("light_curve",), ("spectrum", "series")
AS_IS = {"background": "none", "stretch": "none"}
FOLDING = ("period", "epoch")

REPRESENTATIONS: dict[str, Representation] = {
    "dmdt": Representation(
        CURVES, "image", dmdt.layout, dmdt.run, "pairs of epochs counted by difference of magnitude and time (Mahabal et al. 2017, arXiv:1709.06257)", dmdt.OPTIONS,
        scaling={"background": "none"},
    ),
    "dmdt_series": Representation(
        ("series",), "image", dmdt_series.layout, dmdt_series.run, "pairs of samples of each channel counted by difference and time (Biswas et al. 2019, arXiv:1910.12143)",
        dmdt_series.OPTIONS, scaling={"background": "none"},
    ),
    "periodogram": Representation(
        CURVES, "series", periods.layout, periods.run, "highest Lomb-Scargle power in bins of log frequency (Zechmeister & Kurster 2009, A&A 496, 577)", periods.OPTIONS
    ),
    "period_spectrum": Representation(
        CURVES, "series", period_search.layout, period_search.run, "conditional entropy or analysis of variance in bins of log frequency (Graham et al. 2013, MNRAS 434, 2629)",
        period_search.OPTIONS,
    ),
    "folded_global": Representation(
        CURVES, "series", folding.layout_for("global"), folding.run_for("global"), "one period in 201 bins (Shallue & Vanderburg 2018, AJ 155, 94; arXiv:2101.09227)",
        folding.GLOBAL, FOLDING,
    ),
    "folded_local": Representation(
        CURVES, "series", folding.layout_for("local"), folding.run_for("local"), "81 bins over two durations either side of the epoch (the same)",
        folding.LOCAL, (*FOLDING, "duration"),
    ),
    "folded_half_phase": Representation(
        CURVES, "series", folding.layout_for("half_phase"), folding.run_for("half_phase"), "81 bins about phase 0.5 and 81 about the epoch (Rao et al. 2021, arXiv:2101.09227)",
        folding.LOCAL, (*FOLDING, "duration"),
    ),
    "features": Representation(
        CURVES, "table", features.layout, features.run, "statistics, period and Fourier fit (Coughlin et al. 2021, MNRAS 505, 2954; Richards et al. 2011, ApJ 733, 10)",
        features.OPTIONS, ("period",),
    ),
    "stft": Representation(EVEN, "image", time_frequency.stft_layout, time_frequency.stft_run, "short-time Fourier transform, Hann window", time_frequency.STFT),
    "wavelet": Representation(
        EVEN, "image", time_frequency.wavelet_layout, time_frequency.wavelet_run, "continuous Morlet wavelet (Torrence & Compo 1998, BAMS 79, 61)", time_frequency.WAVELET
    ),
    "wwz": Representation(
        CURVES, "image", uneven_wavelet.layout, uneven_wavelet.run, "weighted wavelet Z of uneven epochs (Foster 1996, AJ 112, 1709)", uneven_wavelet.OPTIONS
    ),
    "q_transform": Representation(
        EVEN, "image", time_frequency.q_layout, time_frequency.q_run, "tiles of constant Q (Chatterji et al. 2004, CQG 21, S1809)", time_frequency.Q
    ),
    "mel": Representation(
        EVEN, "image", time_frequency.mel_layout, time_frequency.mel_run, "STFT power in Mel bins, m = 2595 log10(1 + f / 700) (O'Shaughnessy 1987)", time_frequency.MEL
    ),
    "spectrum_image": Representation(
        ("spectrum",), "image", pictures.spectrum_layout, pictures.spectrum_run, "a spectrum folded into rows, or drawn as its own plot", pictures.SPECTRUM, scaling={"background": "none"}
    ),
    "l2": Representation(
        ("image",), "image", pictures.l2_layout, pictures.l2_run, "planes or rows by their own L2 norm (Duev et al. 2019, arXiv:1907.11259)", pictures.L2, scaling=AS_IS
    ),
    "view": Representation(
        ("series",), "series", views.layout, views.run, "some channels, or all as one, and without outliers (Rao et al. 2021, arXiv:2101.09227)", views.VIEW, scaling={"stretch": "none"}
    ),
    "peak": Representation(
        ("image",), "image", views.peak_layout, views.peak_run, "pictures by their own largest value, times 255 (Kumar et al. 2025, arXiv:2507.14854)", views.PEAK, scaling=AS_IS
    ),
    "alert_numbers": Representation(
        ("table",), "table", alert_numbers.layout, alert_numbers.run, "the nine numbers of a gravitational-wave alert (Raza et al. 2025, arXiv:2502.00297)", alert_numbers.OPTIONS,
        scaling={"scaling": "none"},
    ),
    "low_resolution": Representation(
        ("spectrum",), "spectrum", low_resolution.layout, low_resolution.run, "few pixels, little resolution, between 0 and 1, at rest if asked (Fremling et al. 2021, arXiv:2104.12980; Sharma et al. 2024, arXiv:2412.08601)",
        low_resolution.SEDM, ("redshift",), scaling={"stretch": "none"},
    ),
    "daily_curve": Representation(
        CURVES, "series", daily_curves.layout, daily_curves.run, "one band day by day from the first detection on, by a Gaussian process (Sharma et al. 2024, arXiv:2412.08601)",
        daily_curves.OPTIONS, scaling={"stretch": "none"},
    ),
}  # fmt: skip
"""Every representation by its name."""


def representation(name: str) -> Representation:
    """The representation of a name; UnknownNameError where there is none."""
    if name not in REPRESENTATIONS:
        raise UnknownNameError("representation", name, REPRESENTATIONS)
    return REPRESENTATIONS[name]


def options_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a representation, those not given at their defaults.

    Raises
    ------
    InputError
        For an option that it does not have, or a value of another type than the default.
    """
    one = representation(name)
    for option, value in given.items():
        if option not in one.options:
            raise InputError(f"representation {name!r} has no option {option!r}; it has {', '.join(one.options) or 'none'}.")
        default = one.options[option]
        if option in one.columns:
            good = isinstance(value, str | int | float) and not isinstance(value, bool)
        elif isinstance(default, bool) or isinstance(value, bool):
            good = isinstance(default, bool) and isinstance(value, bool)
        elif isinstance(default, float):
            good = isinstance(value, int | float)
        else:
            good = isinstance(value, type(default) if not isinstance(default, list | tuple) else list | tuple)
        if not good:
            raise InputError(f"representation {name!r}: {option}={value!r} is {type(value).__name__}; the default is {default!r}.")
    return {**one.options, **given}
