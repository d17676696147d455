"""What observers of the practice sky write. No phrase names a class; some belong to several classes, some reports are about the wrong thing."""

CLUES: dict[str, tuple[str, ...]] = {
    "star": (
        "sharp round image, same on the old plates", "has drifted a little against the field since the older survey", "steady to a few hundredths over the season",
        "ordinary point source, spectrum shows narrow absorption", "colour sits on the main locus", "nothing unusual, listed in the astrometric catalogue",
        "sharp image, no change seen", "narrow Balmer absorption and metal lines at rest",
    ),
    "galaxy": (
        "clearly extended, soft edges", "fuzzy patch with a bright middle", "wider than the field points in all bands", "elongated smudge, position angle noted",
        "looks like a disc seen at an angle, nothing new in it", "diffuse light, narrow emission shifted to the red", "break in the continuum and H and K well to the red",
        "soft oval, same as on the old plates",
    ),
    "quasar": (
        "point source, unusually blue in u minus g", "broad emission features, cannot place them at rest", "wanders up and down by tenths over months",
        "no motion at all between surveys", "radio counterpart within an arcsecond", "x-ray detection at this place", "blue point source, wide bumps in the spectrum",
        "slow irregular changes, no period found",
    ),
    "supernova": (
        "not there in last month's picture", "new source beside a fuzzy patch", "rose within two weeks and is now fading", "broad troughs in the spectrum, none at rest",
        "appeared on the edge of a disc", "fading about a tenth every few days", "brightened by more than three magnitudes, nothing at this place before",
        "new object, still visible after several weeks",
    ),
    "variable_star": (
        "light repeats, period looks short", "faded by half a magnitude and came back within hours", "sharp image, brightness changes from night to night",
        "fast rise and slow fall seen twice", "dips at regular intervals", "red point source that swells and fades over months", "was two magnitudes brighter on one night only",
        "listed in the astrometric catalogue, scatter too large",
    ),
    "asteroid": (
        "short streak", "not at this place on the next night", "moved between the two exposures", "image drawn out along one direction", "seen on one night only, nothing before or after",
        "solar colours, position differs between the bands", "nothing on the old plates at this place", "close to the ecliptic, no counterpart anywhere",
    ),
}  # fmt: skip

MISLEADING: dict[str, tuple[str, ...]] = {
    "star": ("variable_star", "quasar"),
    "galaxy": ("supernova", "star"),
    "quasar": ("star", "variable_star", "galaxy"),
    "supernova": ("galaxy", "asteroid", "variable_star"),
    "variable_star": ("star", "supernova", "quasar"),
    "asteroid": ("supernova", "star"),
}
"""What a report may take an object of each class for."""

VAGUE = (
    "nothing special noted", "needs a second look", "could not decide from this frame", "see the log of that night", "reported by the pipeline, not checked by eye",
    "same field as the calibration target", "worth a spectrum", "low priority", "seen in all bands", "picture attached",
)  # fmt: skip
CONDITIONS = (
    "thin cloud", "good seeing", "seeing poor, about two arcsec", "moon up", "photometric night", "guiding jumped once", "high airmass", "wind from the north", "short summer night",
    "",
)  # fmt: skip
OPENINGS = (
    "{band} = {mag:.1f}, {condition}.", "Measured at {band} {mag:.1f}.", "About {mag:.0f}th magnitude in {band}, {condition}.", "{condition}; {band} mag {mag:.1f}.",
    "Faint, {band}~{mag:.1f}.", "Target at the centre, {band} = {mag:.2f}.",
)  # fmt: skip
CLOSINGS = ("", "", "Please confirm.", "Will repeat next week.", "JD to follow.", "Regards.", "Finder chart on request.", "Second opinion welcome.")
SHORT = {"spectrum": "spec", "magnitude": "mag", "emission": "em.", "between": "btw", "exposures": "exp.", "source": "src", "about": "abt", "picture": "pic", "position": "pos."}
"""What hurried observers shorten."""
