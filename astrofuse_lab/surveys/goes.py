"""Soft X-rays of the Sun from the GOES satellites (XRS), one-minute averages, over plain HTTPS.

Sources: the science-quality files of NOAA NCEI, addresses as in sunpy's net/dataretriever/sources/goes.py: GOES-16 and later under
https://data.ngdc.noaa.gov/platforms/solar-space-observing-satellites/goes/goes<NN>/l2/data/xrsf-l2-avg1m_science/<year>/<month>/, GOES-8 to 15 under
https://www.ncei.noaa.gov/data/goes-space-environment-monitor/access/science/xrs/goes<NN>/xrsf-l2-avg1m_science/<year>/<month>/; variables xrsa_flux (0.05 to
0.4 nm), xrsb_flux (0.1 to 0.8 nm), W/m2, xrsa_flag, xrsb_flag (flag_meanings: good_data), time (seconds without leap seconds, as sunpy reads it) as in the
files that sunpy ships for its own tests.
"""

import re
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from astrofuse_lab.errors import InputError, TargetError
from astrofuse_lab.modalities import Modality, TimeSeries
from astrofuse_lab.surveys import formats, hdf5_files, messages, transport
from astrofuse_lab.surveys.archive import Archive, Coverage
from astrofuse_lab.surveys.survey import Ask, Raw, now, provenance_of
from astrofuse_lab.targets import Target, Targets

URL = "https://data.ngdc.noaa.gov/platforms/solar-space-observing-satellites/goes"
OLDER = "https://www.ncei.noaa.gov/data/goes-space-environment-monitor/access/science/xrs"
SINCE = {16: "2017-02-07", 18: "2022-09-02", 17: "2018-06-01", 15: "2010-03-26", 14: "2009-09-19", 13: "2013-06-07", 12: "2002-12-13", 11: "2006-06-20",
         10: "1998-07-01", 9: "1996-04-01", 8: "1995-01-03"}  # fmt: skip
"""First day of each satellite, in the order in which they are tried."""
FIRST_OF_NEW = 16
MOST_DAYS = 31
MOST_SAMPLES = 1440 * (MOST_DAYS + 1)
STEP = 60.0
MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
CHANNELS = ("xrsa", "xrsb")


@dataclass
class GoesXrs(Archive):
    """X-ray flux of the Sun during each target's time, from the first satellite that has it; the option ``satellite`` names one.

    Attributes
    ----------
    older : str
        Where the files of GOES-8 to 15 are.
    """

    _: KW_ONLY
    gives: type = TimeSeries
    older: str = OLDER

    def query(self, targets: Targets, ask: Ask) -> Iterator[Raw]:
        """A listing a month and a file a day, for each target."""
        satellite = int(self.chosen(ask)["satellite"])
        if satellite and satellite not in SINCE:
            raise InputError(f"{self.name}: satellite={satellite}. It has {', '.join(map(str, sorted(SINCE)))}; 0 takes the first that has the time.")
        listings: dict[str, list[str]] = {}
        for target in targets:
            first, last = _interval(self.name, target)
            days = [_day(mjd) for mjd in range(int(np.floor(first)), int(np.ceil(last)))]
            chosen = next(((n, files) for n in ([satellite] if satellite else SINCE) if (files := self._files(n, days, target.object_id, listings))), (0, []))
            contents = [transport.ask(self, place, target=target.object_id)[0] for place in chosen[1]]
            extra = {"lengths": [len(one) for one in contents], "time": [first, last], "satellite": chosen[0]}
            yield Raw(self.name, (target.object_id,), b"".join(contents), " ".join(chosen[1]) or self.url, "application/x-netcdf", now(), extra)

    def _files(self, satellite: int, days: list[datetime], target: str, listings: dict[str, list[str]]) -> list[str]:
        """Addresses of the newest file of each day that this satellite has."""
        found = []
        for day in days:
            if f"{day:%Y-%m-%d}" < SINCE[satellite]:
                continue
            base = f"{self.url}/goes{satellite:02d}/l2/data" if satellite >= FIRST_OF_NEW else f"{self.older}/goes{satellite:02d}"
            place = f"{base}/xrsf-l2-avg1m_science/{day:%Y/%m}/"
            if place not in listings:
                answer = messages.unless_missing(self, place, target=target, page=True)
                page = b"" if answer is None else answer[0]
                listings[place] = re.findall(r"sci_xrsf-l2-avg1m_g\d{2}_d\d{8}_v\d+-\d+-\d+\.nc", page.decode("ascii", "replace"))
            names = [name for name in listings[place] if f"_g{satellite:02d}_d{day:%Y%m%d}_" in name]
            if names:
                found.append(place + max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name.partition("_v")[2])]))
        return found

    def read(self, raw: Raw) -> Iterator[tuple[str, Modality]]:
        """Both channels at one-minute steps over the target's time, unless no satellite has it; minutes without a good value are masked."""
        target = raw.target_ids[0]
        if not raw.content and raw.extra.get("lengths") == []:
            return
        parts = [samples(part, self.name, target) for part in messages.pieces(raw)]
        with formats.reading(self.name, "time series", target):
            seconds = np.concatenate([one[0] for one in parts])
            values, mask = (np.concatenate([one[number] for one in parts], axis=1) for number in (1, 2))
            first, last = raw.extra.get("time", [seconds.min() / 86400, seconds.max() / 86400 + STEP / 86400])  # type: ignore[misc]
            keep = (seconds >= float(first) * 86400 - 0.5) & (seconds < float(last) * 86400)  # type: ignore[has-type]
            seconds, values, mask = seconds[keep], values[:, keep], mask[:, keep]
            if not len(seconds):
                return
            place = np.rint((seconds - seconds.min()) / STEP).astype(np.int64)
            length = int(place.max()) + 1
            if length > MOST_SAMPLES or np.any(np.abs(seconds - seconds.min() - place * STEP) > STEP / 2):
                raise ValueError(f"{len(seconds)} samples over {length} minutes")
            grid, good = np.zeros((2, length)), np.zeros((2, length), dtype=bool)
            grid[:, place], good[:, place] = np.where(mask, values, 0.0), mask
        yield target, TimeSeries(float(seconds.min()) / 86400, STEP, grid, good, CHANNELS, "W / m2", provenance_of(self, raw))


def samples(content: bytes, survey: str, target: str) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """MJD in seconds, flux (channel, sample) and mask of one file; W/m2."""
    names = ("time", *(f"{channel}_{what}" for channel in CHANNELS for what in ("flux", "flag")))
    file = hdf5_files.read(content, names, survey, target, most=MOST_SAMPLES)
    with formats.reading(survey, "file of X-ray fluxes", target):
        said = re.match(r"seconds since (\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)", str(file["time"].attributes.get("units", "")))
        if not said:
            raise ValueError("the unit of time is not said")
        zero = (datetime(*(int(n) for n in said.groups()), tzinfo=UTC) - MJD_ZERO).total_seconds()  # type: ignore[arg-type, misc]
        seconds = file["time"].values.astype(np.float64)
        values, masks = [], []
        for channel in CHANNELS:
            found, flags = file[f"{channel}_flux"], file[f"{channel}_flag"]
            flux = found.values.astype(np.float64)
            if len(flux) != len(seconds) or len(flags.values) != len(seconds):
                raise ValueError(f"{len(flux)} fluxes and {len(flags.values)} flags for {len(seconds)} times")
            fill = float(np.ravel(found.attributes.get("_FillValue", -9999.0))[0])
            values.append(flux)
            masks.append(np.isfinite(flux) & (flux != fill) & (flux > -1) & _good(flags))
    told = np.isfinite(seconds) & (seconds > 0)
    return seconds[told] + zero, np.stack(values)[:, told], np.stack(masks)[:, told]


def _good(flags: hdf5_files.Array) -> NDArray[np.bool_]:
    """Where the bits that mean good data are as they are for good data."""
    meanings = str(flags.attributes.get("flag_meanings", "")).split()
    bits, values = (list(flags.attributes.get(name) or []) for name in ("flag_masks", "flag_values"))
    if "good_data" not in meanings or len(bits) != len(meanings) or len(values) != len(meanings):
        raise ValueError("the flags do not say which data are good")
    place = meanings.index("good_data")
    return np.asarray((flags.values.astype(np.int64) & int(bits[place])) == int(values[place]))


def _interval(survey: str, target: Target) -> tuple[float, float]:
    assert target.time is not None
    first, last = target.time
    if last - first > MOST_DAYS or first < 40_000 or last > 100_000:
        raise TargetError(f"{survey}: target {target.object_id!r} asks for MJD {first:g} to {last:g}. Give MJD (UTC), at most {MOST_DAYS} days.")
    return first, last


def _day(mjd: int) -> datetime:
    return MJD_ZERO + timedelta(days=mjd)


XRS = GoesXrs(
    name="goes/xrs", url=URL, release="science quality, newest version of each day", licence="public domain (NOAA)", needs=("time",), threads=2,
    citation="GOES X-ray Sensor data were provided by NOAA's National Centers for Environmental Information.", settings={"satellite": 0},
    coverage=Coverage("the Sun, 1995 and later"),
)  # fmt: skip
