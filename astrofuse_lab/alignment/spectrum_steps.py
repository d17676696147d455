"""Named treatments of one spectrum; see `steps`."""

from astrofuse_lab.alignment.steps import Step

STEPS: dict[str, Step] = {}
