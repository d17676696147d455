"""Recipes for alert packets: stamps and the history at their position."""

from astrofuse_lab.recipes.schema import Part, Recipe
from astrofuse_lab.recipes.starter import ENCODERS

ALERT_ENCODERS = {
    **ENCODERS,
    "image": Part.of("conv2d", crop=31),  # the object and its surroundings; the rest of a stamp is field stars
    "light_curve": Part.of("time_transformer", shortest=2.0),  # finer times would tell the exposures apart, not the objects
}

RECIPES = (
    Recipe(
        "alert_fusion", "Stamps and history of an alert, one network each, probabilities averaged",
        ALERT_ENCODERS, Part.of("concatenation"), decision=Part.of("average"),
        # stamps of different exposures and pipelines share no zero point
        inputs={"image": Part.of("asinh", scale="sample")},
        schedule=Part.of("end_to_end", steps=600, batch_size=64),
    ),
)  # fmt: skip
