"""Asynchronous TAP: a query as a job, for what takes a service longer than it keeps a connection open.

Sources: TAP 1.1 (https://www.ivoa.net/documents/TAP/20190927/), section 2.2 (``/async``, results/result, error); UWS 1.1
(https://www.ivoa.net/documents/UWS/20161024/), sections 2.2.2 (POST gives the job by redirect, PHASE=RUN starts it, DELETE drops it) and 2.1.3 (phases).
The bytes are kept as sent; Stop and the fetch's time end the wait, and the job with it.
"""

import io
import re
from typing import TYPE_CHECKING

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import jobs, transport

if TYPE_CHECKING:
    from requests import Response, Session

    from astrofuse_lab.surveys.archive import Archive

OVER = ("COMPLETED", "ERROR", "ABORTED", "ARCHIVED")
NO_JOBS = re.compile(r"HTTP (?:404|405|501)\b")
SLOW = re.compile(r"did not answer in time|was not complete after|HTTP (?:408|504)\b|\btime[ -]?(?:out|limit)|\btimed out", re.IGNORECASE)


def too_slow(error: ArchiveError) -> bool:
    """Whether a query failed for its length: a job may do then."""
    return SLOW.search(str(error)) is not None and not jobs.ended()


def no_jobs(error: ArchiveError) -> bool:
    """Whether a service turned out to have no jobs at all."""
    return "takes no jobs at /async" in str(error)


def run(survey: "Archive", adql: str, upload: bytes | None = None, *, maxrec: int, target: str | None = None) -> bytes:
    """The VOTable that answers a query, as sent; `upload`, a VOTable, becomes ``tap_upload.targets``.

    Raises
    ------
    ArchiveError
        As `transport.ask`; with the service's own words where the job failed; transient where the fetch ended before the job.
    """
    from pyvo.dal import TAPQuery

    def send(url: str, session: "Session") -> "Response":
        uploads = {"targets": io.BytesIO(upload)} if upload is not None else None
        response: Response = TAPQuery(url, adql, mode="async", maxrec=maxrec, uploads=uploads, session=session).submit()
        return response

    try:
        _, _, address = transport.through(survey, send, target=target)
    except ArchiveError as error:
        if error.transient or not NO_JOBS.search(str(error)):
            raise
        raise ArchiveError(survey.name, f"the service takes no jobs at /async ({error})", target) from error
    job = address.partition("?")[0].rstrip("/")
    if job.endswith("/async"):
        raise ArchiveError(survey.name, f"the service did not say where the job is ({address})", target, unreadable=True)
    try:
        transport.ask(survey, job + "/phase", method="POST", target=target, data={"PHASE": "RUN"})

        def state() -> str:
            phase = transport.ask(survey, job + "/phase", target=target)[0].decode("ascii", "replace").strip().upper()
            return phase if phase in OVER else ""

        phase = jobs.wait(survey.name, state, target)
        if phase != "COMPLETED":
            content, media_type, _ = transport.ask(survey, job + "/error", target=target)
            raise ArchiveError(survey.name, f"the job ended as {phase}: {transport.words(content, media_type)}", target)
        return transport.ask(survey, job + "/results/result", target=target)[0]
    finally:
        jobs.goodbye(lambda: transport.ask(survey, job, method="DELETE", target=target, allow_redirects=False))
