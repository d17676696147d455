"""What tests of widgets without a browser share: shown and closed again, messages, threads."""

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

from astrofuse_lab.widgets import base


@pytest.fixture
def any_view(monkeypatch):
    """No browser here, so no built view is needed."""
    monkeypatch.setattr(base, "view_source", lambda view: "export default {}")


@pytest.fixture(params=["same thread", "another thread"])
def deliver(request):
    """Hand a widget what a front end sends, on the thread where ipykernel would: the main one, or a subshell's."""

    def call(function, *arguments):
        if request.param == "same thread":
            return function(*arguments)
        failure = []

        def run_it():
            try:
                function(*arguments)
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=run_it)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]
        return None

    return call


@contextmanager
def shown(widget):
    """A widget whose messages are kept; closed at the end, its threads with it."""
    widget.sent = []
    widget.send = lambda content, buffers=None: widget.sent.append((content, buffers))
    try:
        yield widget
    finally:
        widget.close()
        names = {f"{type(widget).__name__}-quick", f"{type(widget).__name__}-jobs"}
        mine = [t for t in (widget._quick._thread, widget._jobs._thread) if t is not None]
        assert not any(t.is_alive() for t in mine), f"threads {names} outlive their widget"


def do(widget, verb, **more):
    widget._handle_custom_msg({"type": "do", "verb": verb, **more}, [])


def values_of(packed):
    return np.frombuffer(packed["data"], dtype=packed["dtype"]).reshape(packed["shape"])


def until(true, seconds=30.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
