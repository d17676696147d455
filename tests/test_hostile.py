"""Hostile input: thousands of spoilt answers of every format, bombs, and names that lead elsewhere. Nothing but an ArchiveError or a right product comes of them.

The answers are read by a process of its own (`hostile_reading`), bounded in memory and watched from here: a crash, a hang or a write is the answer's fault that
was read at the time. ``ASTROFUSE_PROVE=1`` takes the full counts (more than 5,000 answers), else a tenth of them.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hostile_answers import COUNTS, MAKERS
from hostile_bombs import BOMBS

from astrofuse_lab import surveys
from astrofuse_lab.modalities import Image, LightCurve, Spectrum, TableRow
from astrofuse_lab.surveys import vo_products as files
from astrofuse_lab.surveys import vo_tables as tables
from astrofuse_lab.surveys.alert_packets import AlertPackets
from astrofuse_lab.surveys.cross_match import XMatch
from astrofuse_lab.surveys.template import TemplateTable

HERE = Path(__file__).parent
FULL = os.environ.get("ASTROFUSE_PROVE") == "1"
SHARE = 1.0 if FULL else 0.1
PATIENCE = 10.0
"""Seconds that one answer may take; the most is far below one."""
START = 300.0
"""Until the first one: the valid answers and the bombs are made before."""
INSIDE = 0.2
"""Share of the answers of each format that must be accepted as such, so that what is inside is met as well."""


def watched(job: list[list[Any]], place: Path, patience: float = PATIENCE) -> tuple[list[dict[str, Any]], list[str]]:
    """What the process says of each answer, and what went wrong; after a crash or a hang a new one goes on behind the answer that caused it."""
    lines: list[dict[str, Any]] = []
    faults: list[str] = []
    while job and len(faults) < 20:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HOME": str(place), "TMPDIR": str(place), "ASTROFUSE_CACHE": str(place / "cache")}
        with subprocess.Popen(
            [sys.executable, str(HERE / "hostile_reading.py"), json.dumps(job)], cwd=place, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            said: queue.Queue[str] = queue.Queue()
            words: list[str] = []
            threads = [threading.Thread(target=lambda: [said.put(line) for line in [*child.stdout, ""]]), threading.Thread(target=lambda: words.extend(child.stderr))]  # noqa: B023
            for thread in threads:
                thread.daemon = True
                thread.start()
            at: list[Any] | None = None
            reason, begun = "", False
            while True:
                try:
                    line = said.get(timeout=patience if begun else START)
                except queue.Empty:
                    reason = f"took more than {patience if begun else START:g} s"
                    child.kill()
                    break
                if not line:
                    break
                one = json.loads(line)
                begun = True
                at = one.get("start", None if "end" in one else at)
                if "start" not in one:
                    lines.append(one)
            child.wait()
            for thread in threads:
                thread.join()
        if child.returncode == 0 and not reason:
            break
        faults.append(f"{at}: {reason or f'ended the process ({child.returncode})'}: {''.join(word for word in words if not word.startswith('Extension'))[:1500]}")
        if at is None:
            break
        job = [[form, max(first, at[1] + 1 if form == at[0] else first), last] for form, first, last in job[[f for f, _, _ in job].index(at[0]) :]]
    return lines, faults


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    place = tmp_path_factory.mktemp("hostile")
    job = [[form, 0, round(SHARE * n)] for form, n in COUNTS.items()]
    lines, faults = watched(job, place)
    assert [path.name for path in place.iterdir() if path.name not in (".astropy", ".cache", ".config", ".local", "cache")] == [], "files were written"
    return lines, faults


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("form", COUNTS)
def test_spoilt_answers_give_an_archive_error_or_a_right_product(outcomes, form):
    lines, faults = outcomes
    assert [fault for fault in faults if form in fault.partition(":")[0] or fault.startswith("None")] == []
    assert [one for one in lines if one.get("valid", [None])[0] == form] == [], "a valid answer was not read"
    mine = [one for one in lines if one.get("end", [None])[0] == form]
    assert [f"{one['end']} {one['survey']}: {one['fault']}" for one in mine if "fault" in one] == []
    assert len(mine) == round(SHARE * COUNTS[form])
    tally = Counter("product" if one.get("product") else "nothing" if "product" in one else "refused inside" if one["inside"] else "refused" for one in mine)
    assert sum(one["inside"] for one in mine) >= INSIDE * len(mine) and tally["refused"] + tally["refused inside"] > 0, tally
    print(f"{form}: {dict(tally)}")


@pytest.mark.filterwarnings("ignore")
def test_every_read_takes_part():
    """Each survey of the table, each maker of surveys and the template: whose `read` is a function of its own has a valid answer to spoil, read by that very function."""
    seeds = [one for make in MAKERS.values() for one in make()]
    assert all(list(one.survey.read(one.raw(one.bodies))) for one in seeds)
    met = {type(one.survey).read for one in seeds}
    made = [tables.VoTap, tables.VoCone, files.VoImages, files.VoSpectra, files.VoObsCore, XMatch, AlertPackets, TemplateTable]
    assert {one.__name__ for one in (*made, *(type(surveys.get(name)) for name in surveys.SURVEYS)) if one.read not in met} == set()
    assert {one.survey.gives for one in seeds if isinstance(one.survey, (tables.VoCatalogue, files.VoProducts))} == {TableRow, LightCurve, Image, Spectrum}


def test_spoilt_answers_take_little_memory(outcomes):
    lines, _ = outcomes
    assert sum(COUNTS.values()) >= 5000
    peaks = [one["peak"] for one in lines if "peak" in one]
    assert len(peaks) == 1 and peaks[0] < 512 * 1024**2


@pytest.mark.timeout(900)
def test_bombs_are_refused_before_they_go_off(tmp_path):
    lines, faults = watched([["bomb", 0, len(BOMBS)]], tmp_path, 6 * PATIENCE)  # some hundred megabytes are unpacked before it is seen that they are too many
    assert faults == []
    ended = dict(zip(BOMBS, [one for one in lines if "end" in one], strict=True))
    assert {name: one for name, one in ended.items() if "refused" not in one or "fault" in one} == {}
    assert max(one["bytes"] for one in ended.values()) < 2**23 and lines[-1]["peak"] < 2**30
    assert list(tmp_path.iterdir()) == []
