"""Named treatments of one light curve; see `steps`."""

from astrofuse_lab.alignment.steps import Step

STEPS: dict[str, Step] = {}
