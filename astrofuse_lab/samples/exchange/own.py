"""Our own folders, by the same door as everybody else's."""

from pathlib import Path

from astrofuse_lab.samples.sample_set import SampleSet


def read(path: Path, verify: bool | None = None) -> SampleSet:
    """As `SampleSet.open`."""
    return SampleSet.open(path, verify=verify)


def write(samples: SampleSet, path: Path) -> None:
    """As `SampleSet.save`."""
    samples.save(path, overwrite=True)
