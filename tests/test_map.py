"""The map without a browser: large arrays in parts, columns, thumbnails, what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import make_toy_samples, with_series
from widget_tools import do, shown, until, values_of

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.shelf import INLINE, PART, Shelf, short
from astrofuse_lab.widgets.stills import values_of as of_page
from astrofuse_lab.widgets.thumbnails import binned, stamp, thumbnail

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")


def gathered(widget, packed):
    """An array as the view puts it together."""
    if "parts" not in packed:
        return values_of(packed)
    pieces = [widget.answer(f"part/{packed['part']}/{k}")["data"] for k in range(packed["parts"])]
    assert all(len(piece) <= PART for piece in pieces)
    return np.frombuffer(b"".join(pieces), dtype=packed["dtype"]).reshape(packed["shape"])


def test_a_million_points_go_in_parts_that_a_websocket_takes():
    n = 1_000_000
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(n, 2)).astype(np.float32)
    xy[::1000] = np.nan
    kind = np.array(["galaxy", "star", "quasar"])[rng.integers(0, 3, n)]
    columns = {"kind": np.ma.MaskedArray(kind, np.arange(n) % 7 == 0), "z": np.ma.MaskedArray(rng.random(n), np.arange(n) % 5 == 0), "epoch": np.arange(n) + 2**30}
    with shown(af.EmbeddingWidget.from_arrays(xy, columns)) as widget:
        state = sum(len(buffer) for buffer in _buffers(widget))
        assert state < INLINE, "what goes with the widget's state is small"
        (plane,) = widget.maps["given"]
        assert plane["n"] == n - n // 1000 and np.array_equal(gathered(widget, plane["xy"]), xy, equal_nan=True)
        heads = {head["name"]: head for head in widget.columns}
        assert heads["object_id"] == {"name": "object_id", "role": "id", "unit": "", "kind": "text", "n": n, "rows": True}
        assert heads["kind"]["labels"] == ["galaxy", "quasar", "star"] and widget.colour == "kind"
        codes = gathered(widget, heads["kind"]["values"])
        assert codes.dtype == np.uint8 and (codes[::7] == 255).all()
        assert np.array_equal(np.array(heads["kind"]["labels"])[codes[1:7]], kind[1:7])
        z = gathered(widget, heads["z"]["values"])
        assert z.dtype == np.float32 and np.isnan(z[::5]).all() and np.allclose(z[1:5], columns["z"][1:5])
        assert np.array_equal(gathered(widget, heads["epoch"]["values"]), columns["epoch"]), "whole numbers that float32 has not stay exact"


def _buffers(widget):
    from ipywidgets.widgets.widget import _remove_buffers

    return [bytes(b) for b in _remove_buffers({name: getattr(widget, name) for name in ("columns", "maps", "epochs", "selected")})[2]]


def test_ids_and_text_of_a_large_set_are_lines():
    n = 60_000
    ids = np.char.add("obj ", np.arange(n).astype(str))
    notes = np.array([f"note {i}\nsecond line" for i in range(n)])
    with shown(af.EmbeddingWidget.from_arrays(np.zeros((n, 2)), {"note": notes}, ids)) as widget:
        heads = {head["name"]: head for head in widget.columns}
        assert bytes(gathered(widget, heads["object_id"]["utf8"])).decode().split("\n") == ids.tolist()
        assert bytes(gathered(widget, heads["note"]["utf8"])).decode().split("\n")[7] == "note 7 second line"
        page = widget.page_state()
        (plane,) = page["maps"]["given"]
        assert plane["xy"]["dtype"] == "uint16" and np.allclose(of_page(plane["xy"]), 0)
        assert len(of_page(next(c for c in page["columns"] if c["name"] == "object_id")["utf8"])) == len("\n".join(ids))


def test_parts_that_are_not_there_are_told():
    shelf = Shelf()
    packed = shelf.put("a", lambda: np.arange(2_000_000), "float32", (2_000_000,))
    assert packed["parts"] == 2 and "data" not in packed
    for key, words in (("part/7/0", "replaced"), (f"part/{packed['part']}/2", "has 2"), ("part/x/y", "replaced")):
        with pytest.raises(InputError, match=words):
            shelf.part(key)
    again = shelf.put("a", lambda: np.arange(2_000_000), "float32", (2_000_000,))
    with pytest.raises(InputError, match="replaced"):
        shelf.part(f"part/{packed['part']}/0")
    assert shelf.part(f"part/{again['part']}/1")["data"]


def test_coordinates_in_two_bytes_are_finer_than_a_screen():
    rng = np.random.default_rng(1)
    xy = (rng.normal(size=(500, 2)) * [1, 1e4]).astype(np.float32)
    xy[3] = np.nan
    back = of_page(short(xy))
    span = np.nanmax(xy, 0) - np.nanmin(xy, 0)
    assert np.isnan(back[3]).all() and np.nanmax(np.abs(back - xy) / span) <= 0.5 / 65534 + 1e-6
    assert np.isnan(of_page(short(np.full((2, 2), np.nan, np.float32)))).all() and np.allclose(of_page(short(np.ones((3, 2), np.float32))), 1)


def test_vectors_are_shown_by_their_components_and_spaces_share_their_samples():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(40, 8))
    vectors[5] = np.nan
    with shown(af.EmbeddingWidget.from_arrays({"image": vectors, "fused": rng.normal(size=(40, 2))})) as widget:
        image, fused = widget.maps["given"]
        assert image["n"] == 39 and fused["n"] == 40 and "principal components of 8 numbers" in widget.notes[0] and widget.space == "image"
        plane = values_of(image["xy"])
        assert np.isnan(plane[5]).all()
        known = np.delete(vectors, 5, 0) - np.delete(vectors, 5, 0).mean(0)
        assert np.allclose(np.linalg.svd(known)[1][:2], np.linalg.norm(np.delete(plane, 5, 0), axis=0), rtol=1e-4)
        with pytest.raises(InputError, match="samples"):
            _ = widget.selected_samples
        with pytest.raises(InputError, match="samples="):
            widget.answer("thumb/0")
        do(widget, "embed", method="umap")
        assert widget.wait() and "from_arrays" in widget.error


@pytest.mark.parametrize("xy, columns, ids, words", [
    ({}, None, None, "empty"), (np.zeros(4), None, None, r"\(n, 2\)"), (np.zeros((4, 1)), None, None, r"\(4, 1\)"),
    ({"a": np.zeros((4, 2)), "b": np.zeros((5, 2))}, None, None, "same samples"), (np.zeros((4, 2)), {"z": [1, 2]}, None, r"\(4,\)"),
    (np.zeros((4, 2)), None, ["a", "b"], "4 points"), (np.zeros((2, 2)), None, ["a", "a"], "each once"),
])  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(xy, columns, ids, words):
    with pytest.raises(InputError, match=words):
        af.EmbeddingWidget.from_arrays(xy, columns, ids)


def test_thumbnails_are_small_and_of_what_there_is():
    samples = make_toy_samples()
    for position in (0, 7):
        payload = thumbnail(samples, position)
        there = {name for name in samples.modalities if samples.present(name)[position] and samples.modalities[name].kind != "table"}
        assert {part["name"] for part in payload["parts"]} == there and payload["object_id"] == samples.object_ids[position]
        for part in payload["parts"]:
            for name in {"x", "y"} & set(part):
                values = values_of(part[name])
                assert len(values) <= 150 and np.nanmin(values) >= 0 and np.nanmax(values) <= 1
    image = samples[int(np.flatnonzero(samples.present("image"))[0])].modalities["image"]
    drawn = stamp(image)
    assert drawn.dtype == np.uint8 and drawn.shape[2] == 3 and max(drawn.shape[:2]) <= 48 and drawn.max() > 128
    assert {part["kind"] for i in range(3) for part in thumbnail(with_series(make_toy_samples(6)), i)["parts"]} >= {"series"}


def test_bins_are_means_of_what_is_good():
    values, good = np.array([1.0, 3.0, np.nan, 5.0, 100.0, 7.0]), np.array([True, True, True, True, False, True])
    assert np.allclose(binned(values, good, 3), [2, 5, 7], equal_nan=True)
    assert np.isnan(binned(np.ones(4), np.zeros(4, bool), 2)).all() and len(binned(np.ones(0), np.ones(0, bool))) == 0


def test_groups_stability_and_the_training_are_asked_for(tmp_path):
    samples = make_toy_samples()
    run = af.train("late_fusion", samples, "label", modalities=["table", "spectrum"], epochs=2, progress=False, out=tmp_path / "run", keep_epochs=True)
    with shown(af.EmbeddingWidget(run, samples, umap=False)) as widget:
        assert widget.wait(120) and widget.kept == 3
        (first, *_) = widget.maps["pca"]
        assert {badge["name"] for badge in first["badges"]} >= {"trustworthiness"} and all(badge["says"] for badge in first["badges"])
        do(widget, "groups", space="fused")
        assert widget.wait(120) and not widget.error
        heads = {head["name"]: head for head in widget.columns}
        found = widget.embeddings["pca"].clusters("fused").labels
        shown_as = np.array([*heads["cluster (fused)"]["labels"], ""])[np.minimum(values_of(heads["cluster (fused)"]["values"]), len(heads["cluster (fused)"]["labels"]))]
        assert [f"cluster {k + 1}" if k >= 0 else "in none" for k in found] == shown_as.tolist() and widget.colour == "cluster (fused)"
        strange = widget.embeddings["pca"].anomalies("fused")["percentile"]
        assert np.allclose(values_of(heads["anomaly (fused)"]["values"]), np.asarray(strange), atol=1e-3)
        do(widget, "training")
        assert widget.wait(120) and not widget.error
        frames = [frame for frame in widget.epochs if frame["space"] == "fused"]
        assert [frame["epoch"] for frame in frames] == [0, 1, 2] and widget.epoch == 0
        made = af.explain.embed_epochs(run, samples)
        assert np.allclose(values_of(frames[0]["xy"]), made[0][1].coordinates["fused"], atol=1e-4)
        with pytest.raises(InputError, match="epoch 4"):
            widget.show_epochs([{"epoch": 4, "space": "fused", "xy": np.zeros((3, 2))}])
        do(widget, "stability", method="tsne", space="fused")
        until(lambda: widget.error)
        assert "no map of 'fused' by 'tsne'" in widget.error


def test_a_map_of_a_set_gives_thumbnails_and_its_columns():
    samples = make_toy_samples(20)
    with shown(af.EmbeddingWidget.from_arrays(np.random.default_rng(0).normal(size=(20, 2)), samples=samples)) as widget:
        assert widget.thumbs and widget.simulated and widget.columns[0]["name"] == "object_id" and widget.colour
        assert widget.answer("thumb/3")["object_id"] == samples.object_ids[3] and widget.page_keys(3) == ("thumb/3",)
        with pytest.raises(InputError, match="0 to 19"):
            widget.answer("thumb/20")
        widget.selection.ids = samples.object_ids[:2].tolist()
        assert widget.wait() and len(widget.selected_samples) == 2 and "samples.select" in widget.code
    with pytest.raises(InputError, match="same samples"):
        af.EmbeddingWidget.from_arrays(np.zeros((3, 2)), samples=samples)


def test_the_page_about_the_map_runs():
    page = (Path(af.__file__).parents[1] / "docs" / "map.md").read_text()
    names: dict = {}
    try:
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
            exec(block.replace("samples)  ", "samples, umap=False)  "), names)  # UMAP has tests of its own
        assert len(names["widget"].selected_samples) == 5 and len(names["million"].columns) == 3
    finally:
        for widget in (names.get("widget"), names.get("million")):
            widget.close()
