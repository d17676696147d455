"""Named treatments of one text; see `steps`."""

from astrofuse_lab.alignment.steps import Step

STEPS: dict[str, Step] = {}
