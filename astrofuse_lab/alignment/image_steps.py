"""Named treatments of one image; see `steps`."""

from astrofuse_lab.alignment.steps import Step

STEPS: dict[str, Step] = {}
