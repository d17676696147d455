"""The practice sky: a simulated, seeded sky behind the same protocol as every archive, without a network.

`catalogue` says what lies where, `sources` what it is, `sed`, `shapes` and `variability` how it shines; one file per instrument renders it.
"""

from astrofuse_lab.surveys.practice.image import PracticeImage
from astrofuse_lab.surveys.practice.light_curve import PracticeLightCurve
from astrofuse_lab.surveys.practice.spectrum import PracticeSpectrum
from astrofuse_lab.surveys.practice.table import PracticeTable
from astrofuse_lab.surveys.practice.text import PracticeText

IMAGE, SPECTRUM, LIGHT_CURVE, TABLE, TEXT = PracticeImage(), PracticeSpectrum(), PracticeLightCurve(), PracticeTable(), PracticeText()
