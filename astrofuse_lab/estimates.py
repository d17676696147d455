"""What a fetch will cost, before it is begun: requests, seconds and bytes by survey."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from astrofuse_lab.cache import Answers
from astrofuse_lab.modalities import KIND_OF
from astrofuse_lab.questions import chosen_surveys, requests_to
from astrofuse_lab.queues import host_of, threads_of
from astrofuse_lab.surveys import health
from astrofuse_lab.surveys.survey import Ask, Survey
from astrofuse_lab.targets import Targets

if TYPE_CHECKING:
    from astropy.table import Table

LATENCY = 1.5  # s, of an archive that was not asked yet
LOCAL = 0.01  # s a target, of what is made on this machine
BYTES = {"image": 100e3, "spectrum": 100e3, "light_curve": 30e3, "table": 1e3, "text": 3e3}
OTHER = 50e3
PIXEL = 4.0  # bytes


class Cost(NamedTuple):
    """One row of the table that `estimate` gives."""

    survey: str
    targets: int
    cached: int
    requests: int
    seconds: float
    bytes: float
    basis: str


def estimate(
    targets: Targets, surveys: str | Survey | Sequence[str | Survey], radius: Any = 3.0, size: Any = 20.0, time: Any = None,
    options: Mapping[str, Any] | None = None, *, mode: str = "prefer-cache",
) -> "Table":
    """What `fetch` with the same arguments would ask for; nothing is asked.

    Parameters
    ----------
    targets, surveys, radius, size, time, options, mode
        As of `fetch`.

    Returns
    -------
    astropy Table
        One row a survey: survey, targets, cached (answered without the network), requests, seconds, bytes (to come), basis.
        Surveys of one host share its limit of requests at a time, which the seconds account for. ``basis`` is
        ``measured`` where the survey was asked in this process, so that its requests a target and the time they take are
        known, else ``assumed``: then requests are the fewest there can be. Surveys are asked side by side: a fetch takes
        about as long as the slowest host.

    Raises
    ------
    UnknownNameError, InputError
        As of `fetch`.
    """
    from astropy.table import Table

    chosen = chosen_surveys(targets, surveys)
    asks, answers = requests_to(chosen, radius, size, time, options), Answers()
    costs = [_cost(survey, asks[name], targets, answers, mode) for name, survey in chosen.items()]
    load: dict[str, float] = {}
    for cost in costs:
        host = host_of(chosen[cost.survey]) or cost.survey
        load[host] = load.get(host, 0.0) + cost.seconds
    # what one host does for several surveys it does in turns
    rows = [cost._replace(seconds=round(load[host_of(chosen[cost.survey]) or cost.survey], 1) if cost.requests else 0.0) for cost in costs]
    return Table(rows=rows, names=Cost._fields)


def _cost(survey: Survey, ask: Ask, targets: Targets, answers: Answers, mode: str) -> Cost:
    """One survey as if it were alone at its host."""
    cached = 0 if mode == "online" else sum(1 for _ in answers.recall(survey, ask, targets))
    left = 0 if mode == "offline" else len(targets) - cached
    host, each, measured = host_of(survey), health.requests_per_target(survey.name), False
    if not host:
        requests, seconds = 0 if survey.simulated else -(-left // max(1, survey.batch)), left * LOCAL
    else:
        latency = health.latency(host)
        measured = latency is not None and each is not None
        requests = round(left * each) if each else -(-left // max(1, survey.batch))
        requests = max(requests, 1) if left else 0
        seconds = requests * (LATENCY if latency is None else latency) / threads_of(survey)
    known = answers.mean_size(survey)
    return Cost(survey.name, len(targets), cached, requests, seconds, float(round(left * (_guess(survey, ask) if known is None else known))), "measured" if measured else "assumed")


def _guess(survey: Survey, ask: Ask) -> float:
    """Bytes a target, of a survey of which nothing is kept."""
    kind, scale = KIND_OF[survey.gives], getattr(survey, "scale", None)
    if kind == "image" and scale:
        bands = len(ask.bands or survey.bands) or 1
        return float(bands * PIXEL * (ask.size / scale) ** 2)
    return BYTES.get(kind, OTHER)
