"""Jobs shown outside cells: what is told of them, Stop, nesting, selections, and that a kernel tells them by a comm."""

import json
import subprocess
import sys
import threading
import time

import pytest
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab import jobs
from astrofuse_lab.widgets import jobs as desks
from astrofuse_lab.widgets.selection import Selection


class Wire:
    """A comm that keeps what was sent."""

    def __init__(self):
        self.sent, self.said = [], None

    def on_msg(self, callback):
        self.said = callback

    def send(self, data):
        json.dumps(data)
        self.sent.append(data)

    def hear(self, data):
        self.said({"content": {"data": data}})


@pytest.fixture
def desk():
    made = desks.Desk(Wire())
    yield made
    jobs.forget(made._changed)


def heard(number):
    return next(job for job in jobs.known() if job.number == number)


def test_a_job_tells_how_far_it_is_and_how_it_ended():
    seen = []
    jobs.listen(seen.append)
    try:
        with jobs.running("Fetch 3 targets") as job:
            assert job in jobs.known() and job.state == "running" and job.done < 0
            job.tell(0.5, "half")
            with jobs.running("a part of it") as part:
                part.tell(0.1)
        assert job.state == "finished" and job in jobs.known() and part not in jobs.known()
        assert seen and set(seen) == {job}
        with pytest.raises(ZeroDivisionError), jobs.running("Broken") as broken:
            raise ZeroDivisionError
        assert broken.state == "failed" and not broken.stop()
    finally:
        jobs.forget(seen.append)


def test_stop_sets_the_event_and_what_ended_is_told_of_for_a_while():
    event = threading.Event()
    with jobs.running("Train", event) as job:
        assert job.stop() and event.is_set() and job.state == "stopping" and not job.stop()
    assert job.state == "stopped"
    for _ in range(jobs.KEPT + 3):
        with jobs.running("Many"):
            pass
    assert len(jobs.known()) == jobs.KEPT and job not in jobs.known()


def test_jobs_of_other_threads_are_listed_beside():
    inside = threading.Event()
    go = threading.Event()

    def work():
        with jobs.running("Beside"):
            inside.set()
            go.wait(10)

    thread = threading.Thread(target=work)
    with jobs.running("Here"):
        thread.start()
        assert inside.wait(10)
        assert {"Here", "Beside"} <= {job.title for job in jobs.known() if job.state == "running"}
        go.set()
        thread.join()


def test_training_and_fetching_are_jobs_and_can_be_stopped():
    samples = make_toy_samples(40)
    seen = {}

    def watch(job):
        seen.setdefault(job.title, []).append((job.done, job.said))
        if job.title == "Train late_fusion" and 0 < job.done < 1:
            job.stop()

    jobs.listen(watch)
    try:
        run = af.train("late_fusion", samples, target="label", modalities=["table"], epochs=6, progress=False)
        af.fetch(af.Targets.from_table({"ra": [10.0], "dec": [2.0]}), ["practice/table"], progress=False)
    finally:
        jobs.forget(watch)
    assert run.state == "stopped" and len(run.history) < 6
    assert any(said == "epoch 1 of at most 6" for _, said in seen["Train late_fusion"])
    assert "Fetch 1 targets" in seen


def test_the_desk_tells_jobs_memory_and_selections_and_hears_stop(desk):
    samples = make_toy_samples(30)
    selection = Selection()
    selection.choose(samples.object_ids, samples.column("label").data == "star")
    event = threading.Event()
    with jobs.running("Train", event) as job:
        job.tell(0.25, "epoch 1 of at most 4")
        desk.comm.hear({"type": "hello"})
        told = desk.comm.sent[-1]
        row = next(one for one in told["jobs"] if one["number"] == job.number)
        assert row["title"] == "Train" and row["done"] == 0.25 and row["said"] == "epoch 1 of at most 4" and row["can_stop"] and row["state"] == "running"
        assert (10e6 < told["memory"] < told["total"] and told["device"] in ("", "CPU", "Apple GPU")) or told["device"].startswith("GPU")
        mine = next(one for one in told["selections"] if one["number"] == selection.number)
        assert mine["count"] == len(selection.ids) and all(repr(i) in mine["code"] for i in selection.ids)
        desk.comm.hear({"type": "stop", "number": job.number})
        assert event.is_set()
        for nonsense in ("text", {"type": "eval", "code": "1/0"}, {"type": "stop"}, {"type": "stop", "number": "x"}, None, 3):
            desk.comm.hear(nonsense)
    del selection
    until = time.monotonic() + 30
    while not (desk.comm.sent and any(r["state"] == "stopped" and r["number"] == job.number for r in desk.comm.sent[-1]["jobs"])):
        job._took = desks.SHORT + 1  # short ones are left out of what is told
        desk.later()
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_cell_of_a_selection_selects_the_same_samples():
    samples = make_toy_samples(30)
    selection = Selection()
    selection.choose(samples.object_ids, samples.column("label").data != "star")
    code = desks.code_of(selection, {"mine": samples})
    space = {"mine": samples}
    exec(code, space)
    assert tuple(space["selected"].object_ids) == selection.ids
    many = Selection()
    many.ids = [f"o{i}" for i in range(desks.WRITTEN + 1)]
    assert "picked.ids" in desks.code_of(many, {"picked": many})
    assert "view.selection.ids" in desks.code_of(many, {})
    hostile = Selection()
    hostile.ids = ["x'])\nimport os  # "]
    assert "\nimport os" not in desks.code_of(hostile, {})


def test_a_kernel_tells_its_jobs_by_a_comm_that_needs_no_opening():
    code = """
import sys, json
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="python3")
try:
    client.execute_interactive("import astrofuse_lab as af, sys; from astrofuse_lab import jobs; print('torch' in sys.modules)", timeout=60, output_hook=lambda m: print(m["msg_type"], m["content"].get("text", "").strip()))
    reply = client.comm_info(target_name="astrofuse-lab", reply=True, timeout=30)
    print("comms", sorted(reply["content"]["comms"]))
    kinds = []
    def hook(m):
        kinds.append((m["msg_type"], m["content"].get("comm_id", "")))
        if m["msg_type"] == "comm_msg":
            print("told", [j["title"] for j in m["content"]["data"]["jobs"]])
    client.execute_interactive("import time\\nwith jobs.running('Long'):\\n    time.sleep(3)", timeout=60, output_hook=hook)
    print("opened", [k for k in kinds if k[0] == "comm_open"])
finally:
    client.stop_channels(); manager.shutdown_kernel(now=True)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "stream False" in said.stdout, said.stdout + said.stderr
    assert f"comms ['{desks.COMM}']" in said.stdout
    assert "told ['Long']" in said.stdout
    assert "opened []" in said.stdout
