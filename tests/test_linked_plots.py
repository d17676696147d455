"""A HoloViews plot and the widgets have one selection, both ways."""

import gc
import weakref

import numpy as np
import pytest
from browser import chromium, free_port
from explain_cases import samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import STATIC, Selection
from astrofuse_lab.widgets.linked_plots import _LINKS
from astrofuse_lab.widgets.plotting import backend

hv = pytest.importorskip("holoviews")
built = pytest.mark.skipif(not (STATIC / "samples.js").is_file(), reason="browser: the views are not built; run make front-end")


def points(data):
    return hv.Points((data.column("mag_g").data, data.column("redshift").data), ["mag_g", "redshift"])


def drawn(linked):
    """How many rows each layer of a linked plot has: all, then those selected."""
    plot = hv.renderer("bokeh").get_plot(linked)
    return [len(next(iter(r.data_source.data.values()))) for r in plot.state.renderers]


def test_a_selection_is_shown_in_plots_and_a_brush_is_told():
    data, selection = samples(), Selection()
    linked = af.link_plot(points(data), selection, data)
    table = hv.Dataset({"mag_g": data.column("mag_g").data, "object_id": data.object_ids}, ["mag_g", "object_id"])
    other = af.link_plot(hv.operation.histogram(table, dimension="mag_g"), selection)  # its table has the ids
    selection.ids = ("toy-0003", "toy-0005", "not here")
    assert drawn(linked)[:2] == [40, 2]
    layers = [r.data_source.data for r in hv.renderer("bokeh").get_plot(other).state.renderers if hasattr(r, "data_source")]
    assert {int(np.sum(values)) for rows in layers for name, values in rows.items() if name not in ("left", "right", "bottom")} >= {40, 2}
    linker = _LINKS[selection].linker
    linker.selection_expr = hv.dim("object_id").isin(["toy-0009", "toy-0001"])  # as HoloViews does when a plot is brushed
    assert sorted(selection.ids) == ["toy-0001", "toy-0009"] and drawn(linked)[:2] == [40, 2]
    linker.selection_expr = None  # the reset tool
    assert selection.ids == ()


def test_what_cannot_be_linked_is_told():
    data, selection = samples(), Selection()
    with pytest.raises(InputError, match="no samples were given"):
        af.link_plot(points(data), selection)
    with pytest.raises(InputError, match="40 rows, the samples are 3"):
        af.link_plot(points(data), selection, data.take([0, 1, 2]))
    with pytest.raises(InputError, match="takes a Selection or a widget"):
        af.link_plot(points(data), "selection", data)
    with pytest.raises(InputError, match="HoloViews plot"):
        af.link_plot(3, selection, data)
    af.link_plot(points(data), selection, data)
    with pytest.raises(InputError, match="column='object_id'"):
        af.link_plot(points(data), selection, data, column="name")


def test_a_selection_that_nobody_holds_goes():
    selection = Selection()
    af.link_plot(points(samples()), selection, samples())
    ghost = weakref.ref(selection)
    del selection
    gc.collect()
    assert ghost() is None


@built
@pytest.mark.browser
def test_a_lasso_in_bokeh_selects_in_the_widget_and_back():
    import panel as pn

    backend()  # as hv.extension("bokeh"), before any option of a plot
    data = samples()
    widget = af.SamplesWidget(data)
    linked = af.link_plot(points(data).opts(width=500, height=400, active_tools=["box_select"]), widget, data)
    port = free_port()
    server = pn.serve({"plot": lambda: pn.pane.HoloViews(linked)}, port=port, address="127.0.0.1", websocket_origin=f"127.0.0.1:{port}", show=False, threaded=True)
    try:
        with chromium(800, 600) as browser:
            page = browser.page()
            page.goto(f"http://127.0.0.1:{port}/plot")
            canvas = page.locator(".bk-Canvas, .bk-canvas-events").first
            canvas.wait_for()
            box = canvas.bounding_box()
            page.wait_for_timeout(500)
            page.mouse.move(box["x"] + 90, box["y"] + 40)
            page.mouse.down()
            page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + box["height"] - 80, steps=8)
            page.mouse.up()
            for _ in range(200):
                if widget.selection.ids:
                    break
                page.wait_for_timeout(50)
            chosen = data.select(widget.selection.ids)
            assert 0 < len(chosen) < 40 and widget.wait()
            assert chosen.column("mag_g").max() < data.column("mag_g").max()  # the left part
            assert np.unpackbits(np.frombuffer(widget.selected, np.uint8)).sum() == len(chosen)
            widget.select([str(i) for i in data.object_ids[:3]])
            layers = "() => Bokeh.documents[0].roots().flatMap((r) => [...r.references()]).filter((m) => m.type === 'GlyphRenderer').map((m) => m.data_source.get_length())"
            page.wait_for_function(f"() => ({layers})().includes(3)", timeout=30_000)
            browser.shot(page, "linked-plot")
            assert browser.errors == [] and browser.foreign == []
    finally:
        server.stop()
        widget.close()
