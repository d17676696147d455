"""A class of 40 in one served workbench: how long each waits, what each costs, and that none meets another's work.

One server process (``panel serve`` of the packaged app, a practice set and a run on it); the students are clients on loopback, each with a session of their own, who page,
lasso, write a note and ask for explanations at their own pace. ``--students`` and ``--rounds`` bound it. Peer: one student alone in the same server.

    python benchmarks/classroom_load.py [--students 40] [--rounds 6] [--think 4] [--quick] [--json]
"""

import argparse
import asyncio
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
from bokeh_student import Student
from reporting import ROOT, Line, save_results

APP = ROOT / "astrofuse_lab" / "widgets" / "app.py"
SAMPLES = 120


def word(number: int) -> str:
    """What only this student writes."""
    return f"seen-by-student-{number:03d}-only"


def prepared(home: Path) -> tuple[Path, Path]:
    """A practice set and a run on it, as folders."""
    import astrofuse_lab as af

    samples = af.load_samples("practice", n=SAMPLES)
    run = af.train("joint_attention", samples, target="label", epochs=2, progress=False)
    return samples.save(home / "samples"), run.save(home / "run")


class Served:
    """The server, on a free port of this machine alone."""

    def __init__(self, home: Path, folders: tuple[Path, Path]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        command = [sys.executable, "-m", "panel", "serve", str(APP), "--port", str(self.port), "--address", "127.0.0.1", "--allow-websocket-origin", f"127.0.0.1:{self.port}",
                   "--unused-session-lifetime", "15000", "--check-unused-sessions", "5000", "--session-token-expiration", "3600", "--args", *map(str, folders)]  # fmt: skip
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "ASTROFUSE_CACHE": str(home / "cache")}
        self.log = (home / "server.log").open("wb")
        self.process = subprocess.Popen(command, cwd=home, env=environment, stdout=self.log, stderr=self.log, start_new_session=True)

    def __enter__(self) -> "Served":
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/app/metadata", timeout=30).close()
                return self
            except OSError:
                time.sleep(0.5)
        raise RuntimeError("the server did not start")

    def __exit__(self, *_: object) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()

    def megabytes(self) -> float:
        """Resident memory, children as well."""
        me = psutil.Process(self.process.pid)
        return sum(one.memory_info().rss for one in (me, *me.children(recursive=True))) / 2**20

    def seconds(self) -> float:
        """Processor time used so far: unlike waits, the same on a busy machine."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def threads(self) -> int:
        """Threads of the server."""
        return psutil.Process(self.process.pid).num_threads()


# ---- what students do --------------------------------------------------------------------------------------------------


async def work(student: Student, rounds: int, think: float, waits: dict[str, list[float]]) -> None:
    """Look, note, lasso, ask why; between two gestures a moment of thought."""
    rng = random.Random(student.number)
    page, lasso = student.holder("annotated", "coverage"), student.holder("maps")
    why = student.holder("checks", "method")
    for turn in range(rounds):
        await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
        position = rng.randrange(SAMPLES)
        waits["page to another sample"].append(await student.ask(page, f"sample/{position}"))
        await student.say(page, {"method": "custom", "content": {"type": "do", "verb": "annotate", "positions": [position], "note": f"{word(student.number)} {turn}"}})
        await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
        bits = bytes(rng.randrange(256) for _ in range(SAMPLES // 8))
        begin = time.perf_counter()
        await student.set(lasso, selected=bits)
        await student.until(lambda bits=bits: student.views[page].get("selected") == bits)
        waits["lasso, followed by the samples"].append(time.perf_counter() - begin)
        if turn % 3 == 0:
            await asyncio.sleep(rng.uniform(0.5, 1.5) * think)
            waits["why this class (attribution)"].append(await student.ask(why, f"attribution/{position}/0/-/{student.views[why]['method']}"))


async def class_of(served: Served, students: list[Student], rounds: int, think: float, pause: float) -> dict[str, Any]:
    """A lesson: all come in one after the other, work, and leave; what was measured."""
    waits: dict[str, list[float]] = {"open the workbench": [], "page to another sample": [], "lasso, followed by the samples": [], "why this class (attribution)": []}
    memory, begun = served.megabytes(), served.seconds()

    gave_up: list[int] = []

    async def attend(student: Student) -> None:
        try:
            waits["open the workbench"].append(await student.open())
            await work(student, rounds, think, waits)
        except TimeoutError:  # an answer that took longer than anybody waits
            gave_up.append(student.number)

    lessons = []
    for student in students:
        lessons.append(asyncio.create_task(attend(student)))
        await asyncio.sleep(pause)
    await asyncio.gather(*lessons)
    found = {"megabytes": [memory, served.megabytes()], "threads": served.threads(), "processor_s": served.seconds() - begun, "gave_up": gave_up, "waits": waits}
    for student in students:
        if student.number not in gave_up:
            await student.close()
    return found


def leaks(students: list[Student]) -> list[str]:
    """Words of one student that reached another, and own ones that did not come back."""
    heard = {student.number: "\n".join(student.heard) for student in students}
    met = [f"{a.number} heard {b.number}" for a in students for b in students if a is not b and word(b.number) in heard[a.number]]
    return met + [f"{a.number} did not hear their own" for a in students if word(a.number) not in heard[a.number]]


def quantile(values: list[float], share: float) -> float:
    """Of waits in seconds; NaN of none."""
    return float(sorted(values)[min(len(values) - 1, int(share * len(values)))]) if values else float("nan")


async def measured(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], list[str], float]:
    """One alone, then the class; what each found, the leaks, and the memory once all have left."""
    with tempfile.TemporaryDirectory(prefix="classroom-") as name:
        home = Path(name)
        folders = prepared(home)
        with Served(home, folders) as served:
            first = Student(0, served.port)
            await class_of(served, [first], 1, 0.1, 0)  # what a server does once
            alone = await class_of(served, [Student(1, served.port)], args.rounds, 0.2, 0)
            await asyncio.sleep(6)
            students = [Student(100 + i, served.port) for i in range(args.students)]
            together = await class_of(served, students, args.rounds, args.think, args.pause)
            await asyncio.sleep(50)  # Bokeh looks every 17 s for sessions whose page went 15 s ago
            return alone, together, leaks(students), served.megabytes()


def main() -> int:
    """Measure, print a line a gesture, and keep a full run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--think", type=float, default=4.0, help="seconds between gestures of one student")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds between two arrivals")
    parser.add_argument("--quick", action="store_true", help="eight students, two rounds")
    parser.add_argument("--json", action="store_true", help="JSON lines alone")
    args = parser.parse_args()
    if args.quick:
        args.students, args.rounds, args.think, args.pause = 8, 2, 1.0, 1.0
    alone, together, met, after = asyncio.run(measured(args))
    met += [f"{number} gave up" for number in together["gave_up"]]
    each = (together["megabytes"][1] - together["megabytes"][0]) / args.students
    kept = []
    for gesture, waits in together["waits"].items():
        if not waits:
            continue
        line = Line(f"{gesture}: {args.students} students, median", "one student alone", not met, len(met), 0, statistics.median(waits), statistics.median(alone["waits"][gesture]))
        kept.append({**line.to_json(), "p95": quantile(waits, 0.95), "n": len(waits)})
        if args.json:
            line.print()
        else:
            print(f"{line.work}: {line.seconds:.3g} s, 95 % within {quantile(waits, 0.95):.3g} s (n = {len(waits)}); alone {line.peer_seconds:.3g} s")
    memory = {"server_mb": together["megabytes"][0], "with_all_mb": together["megabytes"][1], "mb_each": each, "after_all_left_mb": after, "threads": together["threads"], "processor_s_each": together["processor_s"] / args.students}
    if not args.json:
        print(f"memory: {memory['server_mb']:.0f} MB before, {memory['with_all_mb']:.0f} MB with {args.students}, {each:.1f} MB each; {after:.0f} MB when all had left; {memory['threads']} threads; {memory['processor_s_each']:.1f} s of one processor each")
        print("none met another's work, none gave up" if not met else f"FAILED: {met[:5]}")
    if not args.quick:
        settings = {"students": args.students, "rounds": args.rounds, "think_s": args.think, "pause_s": args.pause, "samples": SAMPLES, "load_average": os.getloadavg()[0]}
        save_results("classroom_load", {**settings, "memory": memory, "failed": met, "lines": kept})
    return int(bool(met))


if __name__ == "__main__":
    sys.exit(main())
