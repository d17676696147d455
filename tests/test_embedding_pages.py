"""Views inside other pages: frames that are small, alone in their sandbox, silent on the network, and work."""

import contextlib
import functools
import html
import http.server
import re
import threading

import pytest
from browser import chromium, click_in_frame
from conftest import make_toy_samples

import astrofuse_lab as af
from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.base import STATIC
from astrofuse_lab.widgets.embedded import MODE, Embedded, framed

built = pytest.mark.skipif(not (STATIC / "frame.html").exists(), reason="browser: the front end is not built; run: make front-end")
HOSTILE = "\"><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>@@WHERE@@"
AROUND = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A course</title><link rel="icon" href="data:,"></head><body><h1>Week 3</h1>{}</body></html>'


@pytest.fixture(scope="module")
def linked():
    """Two linked views of 30 samples."""
    samples, selection = make_toy_samples(30), af.Selection()
    widgets = [af.SamplesWidget(samples, selection), af.SamplesWidget(samples.take(range(10)), selection)]
    yield widgets
    for widget in widgets:
        widget.close()


@contextlib.contextmanager
def served(folder):
    """The address of a folder, on loopback."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@built
def test_a_frame_is_sandboxed_and_its_title_and_address_stay_text():
    text = Embedded(b"<p title='\"'>&amp;</p>", HOSTILE, 300).html
    frame = re.match(r"<iframe [^>]*>", text)[0]
    assert 'sandbox="allow-scripts allow-downloads"' in frame and "allow-same-origin" not in frame and "height: 300px" in frame
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == "<p title='\"'>&amp;</p>" and html.unescape(re.search(r'title="([^"]*)"', frame)[1]) == HOSTILE
    assert "<img" not in text and text.count("<script") == 1 == text.count("</iframe>")
    other = af.Frame('lesson.html?a="b"', HOSTILE).html
    assert 'src="lesson.html?a=&quot;b&quot;"' in other and "sandbox" not in other and "<img" not in other
    assert framed("", "t", 5).count("@@") == 0


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", " ", "file:///etc/passwd", " JavaScript:x", "ftp://x/y"])
def test_a_frame_shows_only_pages(address):
    with pytest.raises(InputError, match="no address that a frame can show"):
        af.Frame(address)


@built
def test_embed_keeps_to_its_size_and_says_what_it_stores(linked, tmp_path):
    small, large = linked[0].embed(stored=2), linked[0].embed(stored=30)
    assert len(small.page) < len(large.page) < 1_200_000
    tight = linked[0].embed(stored=30, size=300_000)
    assert len(tight.page) < 300_000 and len(tight.page) < len(large.page)
    frame = large.save(tmp_path / "two words.html")
    assert (tmp_path / "two words.html").read_bytes() == large.page and 'src="two%20words.html"' in frame.html and "sandbox" in frame.html
    with pytest.raises(InputError, match=r"let it end in \.html"):
        large.save(tmp_path / "view.txt")


@built
def test_widgets_become_pages_where_a_notebook_is_run_for_a_site(linked, monkeypatch):
    assert "application/vnd.jupyter.widget-view+json" in linked[0]._repr_mimebundle_()[0]
    monkeypatch.setenv(MODE, "0")
    assert "application/vnd.jupyter.widget-view+json" in linked[0]._repr_mimebundle_()[0]
    monkeypatch.setenv(MODE, "3")
    shown = linked[0]._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"} and shown["text/html"].startswith("<iframe ")
    monkeypatch.setenv(MODE, "many")
    with pytest.raises(InputError, match="no number of samples"):
        linked[0]._repr_mimebundle_()


def lesson(folder, widgets):
    """The same lesson as a page with the view in it, and as one that shows a file beside it, as learning platforms do."""
    made = widgets[0].embed(beside=widgets[1:], stored=30)
    (folder / "plain.html").write_text(AROUND.format(made.html), encoding="utf-8")
    (folder / "platform.html").write_text(AROUND.format(re.sub(r"<script>.*?</script>", "", made.save(folder / "view.html").html, flags=re.DOTALL)), encoding="utf-8")
    return made


@built
@pytest.mark.browser
def test_plain_page_and_learning_platform_show_linked_views(linked, tmp_path):
    lesson(tmp_path, linked)
    with chromium(1100, 900) as browser, served(tmp_path) as address:
        for at in ((tmp_path / "plain.html").as_uri(), f"{address}/platform.html"):
            page = browser.page()
            page.goto(at)
            frame = page.frame_locator("iframe")
            frame.locator("body[data-ready]").wait_for()
            click_in_frame(page, frame, frame.locator(".view.samples").nth(1).get_by_role("button", name="Select shown"))
            frame.locator(".view.samples").nth(0).get_by_text("30 of 30 shown, 10 selected").wait_for()
            if "plain" in at:  # its listener lets the frame grow; a platform that takes scripts out keeps the given height
                page.wait_for_function("() => document.querySelector('iframe').offsetHeight > 700")
                outer = page.evaluate("() => { try { return document.querySelector('iframe').contentDocument } catch (e) { return null } }")
                assert outer is None, "the frame has an origin of its own"
            click_in_frame(page, frame, frame.get_by_text("About this view, data and code"))
            frame.get_by_text("explanations of all samples are stored").first.wait_for()
            browser.shot(page, f"embedding-{'plain' if 'plain' in at else 'platform'}")
        assert browser.errors == [] and browser.foreign == []
