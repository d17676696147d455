"""Widgets without a browser: traits, messages, worker threads, linked selections, errors, the line of code, the end."""

import json
import threading

import numpy as np
import pytest
from ipywidgets.widgets.widget import _remove_buffers
from widget_tools import shown, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets import base
from astrofuse_lab.widgets.base import Base, Selection, Worker, from_bits, to_bits
from astrofuse_lab.widgets.wire import column_payload, sample_payload

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")


@pytest.fixture(scope="module")
def run(toy_samples):
    return af.train("joint_attention", toy_samples, "label", epochs=6, progress=False)


# ---- bits, workers, selection ------------------------------------------------------------------------------------------


def test_bits_are_least_significant_first():
    assert to_bits(np.array([True])) == b"\x01"
    assert to_bits(np.arange(16) == 9) == b"\x00\x02"
    mask = np.random.default_rng(0).random(1001) < 0.3
    assert np.array_equal(from_bits(to_bits(mask), 1001), mask)
    assert not from_bits(b"", 5).any() and np.array_equal(from_bits(b"\xff\xff", 3), [True] * 3)


def test_a_worker_survives_a_job_that_fails_and_ends_when_closed():
    failures, done = [], []
    worker = Worker("test", failures.append)
    worker.submit(lambda: 1 / 0)
    worker.submit(done.append, 1)
    assert worker.drain(10)
    assert isinstance(failures[0], ZeroDivisionError) and done == [1]
    assert worker.close()
    worker.submit(done.append, 2)
    assert done == [1] and not worker._thread.is_alive()


def test_a_missing_view_says_how_to_build_it(monkeypatch, tmp_path, toy_samples):
    monkeypatch.undo()
    monkeypatch.setattr(base, "STATIC", tmp_path)
    base.view_source.cache_clear()
    with pytest.raises(InputError, match="make front-end"):
        af.SamplesWidget(toy_samples)
    base.view_source.cache_clear()


def test_widgets_with_one_selection_are_linked(toy_samples, deliver):
    selection = Selection()
    part = toy_samples.take([5, 6, 7])
    with shown(af.SamplesWidget(toy_samples, selection)) as whole, shown(af.SamplesWidget(part, selection)) as few:
        mask = np.zeros(60, dtype=bool)
        mask[[2, 6, 59]] = True
        deliver(whole.set_state, {"selected": memoryview(to_bits(mask)), "focus": 6})
        assert whole.wait() and few.wait()
        assert selection.ids == ("toy-0002", "toy-0006", "toy-0059") and selection.focus == "toy-0006"
        # the other knows one of the three, and must not take the others away
        assert from_bits(few.selected, 3).tolist() == [False, True, False] and few.focus == 1
        deliver(few.set_state, {"focus": 2})
        assert few.wait() and whole.wait()
        assert selection.focus == "toy-0007" and whole.focus == 7
        assert len(selection.ids) == 3 and len(whole.selected_samples) == 3
        selection.ids = ["toy-0005", "unknown"]
        assert from_bits(few.selected, 3).tolist() == [True, False, False] and whole.wait() and selection.ids == ("toy-0005", "unknown")


def test_own_selection_and_focus_from_python(toy_samples):
    with shown(af.SamplesWidget(toy_samples)) as widget:
        assert widget.focus == 0
        widget.focus = 3
        assert widget.wait() and widget.selection.focus == "toy-0003"
        assert widget.code == "samples['toy-0003']"
        assert eval(widget.code, {"samples": toy_samples}).object_id == "toy-0003"


def test_view_and_worker_may_write_at_once(toy_samples):
    with shown(af.SamplesWidget(toy_samples)) as widget:
        failures = []

        def view():
            try:
                for i in range(400):
                    widget.set_state({"focus": i % 60, "selected": memoryview(bytes([i % 256]))})
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=view)
        thread.start()
        for i in range(400):
            widget._update(status=str(i), progress=i / 400)
        thread.join()
        assert widget.wait()
        assert not failures and not widget.error and widget.failure is None
        assert widget.status == "399" and widget.focus == 399 % 60
        assert widget.selection.focus == widget._ids[widget.focus]
        assert from_bits(widget.selected, 60).sum() == len(widget.selection.ids)


# ---- payloads ----------------------------------------------------------------------------------------------------------


def test_a_sample_crosses_as_it_is(toy_samples, deliver):
    position = next(i for i in range(60) if toy_samples.present("image")[i] and not toy_samples.present("spectrum")[i])
    with shown(af.SamplesWidget(toy_samples)) as widget:
        deliver(widget._handle_custom_msg, {"type": "want", "key": f"sample/{position}"}, [])
        assert widget.wait()
        content, buffers = widget.sent[-1]
        json.dumps(content, allow_nan=False)
        assert content["type"] == "answer" and len(content["paths"]) == len(buffers) > 0
    payload = sample_payload(toy_samples, position)
    by_name = {m["name"]: m for m in payload["modalities"]}
    assert list(by_name) == list(toy_samples.modalities)
    sample = toy_samples[position]
    image = sample["image"]
    assert np.array_equal(values_of(by_name["image"]["flux"]), np.where(image.mask, image.flux, 0))
    assert np.array_equal(values_of(by_name["image"]["mask"]).astype(bool), image.mask)
    assert by_name["spectrum"] == {"name": "spectrum", "kind": "spectrum", "present": False}
    if sample["light_curve"] is not None:
        light = sample["light_curve"]
        bands = np.array(by_name["light_curve"]["bands"])[values_of(by_name["light_curve"]["band"])]
        assert np.array_equal(bands, light.band) and np.array_equal(values_of(by_name["light_curve"]["time"]), light.time)
    stripped, _, _ = _remove_buffers(payload)
    json.dumps(stripped, allow_nan=False)


def test_levels_of_an_image_are_sky_noise_and_bright_end(toy_samples):
    from astrofuse_lab.widgets.wire import _levels

    plane = np.random.default_rng(1).normal(5.0, 2.0, (200, 200)).astype(np.float32)
    sky, noise, top = _levels(plane, np.ones(plane.shape, dtype=bool))
    assert abs(sky - 5) < 0.05 and abs(noise - 2) < 0.05 and 9 < top < 12
    assert _levels(plane, np.zeros(plane.shape, dtype=bool)) == [0.0, 1.0, 1.0]


def test_columns_keep_what_is_missing():
    numbers = column_payload("x", np.ma.MaskedArray([1.5, 2.5], [False, True]))
    assert numbers["kind"] == "number" and values_of(numbers["values"])[0] == 1.5 and np.isnan(values_of(numbers["values"])[1])
    words = column_payload("c", np.ma.MaskedArray(["b", "a", "b"], [False, False, True]))
    assert words["labels"] == ["a", "b"] and values_of(words["values"]).tolist() == [1, 0, -1]
    many = column_payload("t", np.ma.MaskedArray([f"id {i}\nx" for i in range(100)]))
    assert many["kind"] == "text" and len(many["utf8"].decode().split("\n")) == 100


@pytest.mark.parametrize("key", ["sample/60", "sample/-1", "sample/x", "nothing/1", ""])
def test_keys_that_are_not_known_are_refused(toy_samples, key):
    with shown(af.SamplesWidget(toy_samples)) as widget:
        widget._handle_custom_msg({"type": "want", "key": key}, [])
        assert widget.wait()
        assert widget.sent[-1][0]["key"] == key and "positions are 0 to 59" in widget.sent[-1][0]["error"]


@pytest.mark.parametrize("message", [{"type": "do", "verb": "rm"}, {"type": "?"}, "text", None, {}])
def test_messages_that_are_not_known_are_named(toy_samples, message):
    with shown(af.SamplesWidget(toy_samples)) as widget:
        widget._received(widget, message, [])
        assert widget.wait() and "does not know the message" in widget.error


def test_answers_can_be_kept_for_a_page_without_a_kernel(toy_samples):
    with shown(af.SamplesWidget(toy_samples)) as widget:
        widget.keep(["sample/0", "sample/7"])
        assert set(widget.saved) == {"sample/0", "sample/7"} and widget.saved["sample/7"]["object_id"] == "toy-0007"


def test_an_empty_set_has_a_widget(toy_samples):
    with shown(af.SamplesWidget(toy_samples.take([]))) as widget:
        assert widget.wait() and widget.focus == -1 and not widget.error


# ---- all of them -------------------------------------------------------------------------------------------------------


def test_reprs_are_cheap_and_say_what_it_is(run, toy_samples):
    makers = [
        lambda: af.SamplesWidget(toy_samples), lambda: af.TrainWidget(toy_samples), lambda: af.EmbeddingWidget(run, toy_samples, umap=False),
        lambda: af.AttributionWidget(run, toy_samples), lambda: af.AttentionWidget(run, toy_samples), lambda: af.FetchWidget(),
    ]  # fmt: skip
    for make in makers:
        with shown(make()) as widget:
            assert widget.wait(60) and repr(widget).startswith(type(widget).__name__) and len(repr(widget)) < 120
            assert isinstance(widget.code, str) and widget.code
            compile(widget.code, "code", "exec")
            assert widget.simulated is True


def test_a_base_widget_answers_nothing():
    class Small(Base):
        view = "samples"

    with shown(Small(["a", "b"])) as widget:
        with pytest.raises(InputError, match="no answer"):
            widget.answer("x")
        assert widget.wait()
