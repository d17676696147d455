"""What a stranger sent, in a real JupyterLab: a notebook with outputs and saved widget states, and a page; opened, nothing of it runs."""

import json

import pytest
from browser import EXTENSION, Lab, chromium, open_lab

pytestmark = pytest.mark.browser

IMAGE = "<img src=x onerror=\"top.hacked='{0}'\"><svg onload=\"top.hacked='{0}'\"></svg><script>top.hacked='{0}'</script><a href=\"javascript:top.hacked='{0}'\">look</a>"
MODULE = "globalThis.hacked = 'state: module'; export default { initialize() { globalThis.hacked = 'state: initialize'; }, render() { globalThis.hacked = 'state: render'; } };"
OUTPUTS = {
    "text/html": IMAGE.format("output: html"), "application/javascript": "top.hacked = 'output: javascript'; window.hacked = 'output: javascript'",
    "image/svg+xml": "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"top.hacked='output: svg'\"><script>top.hacked='output: svg'</script></svg>",
    "text/markdown": IMAGE.format("output: markdown"), "text/latex": "$\\href{javascript:top.hacked='latex'}{x}$",
}  # fmt: skip


def a_notebook():
    """With every kind of output, and a widget of anywidget with a view of the stranger's own."""
    widget = {
        "model_module": "anywidget", "model_module_version": "~0.11.0", "model_name": "AnyModel",
        "state": {"_model_module": "anywidget", "_model_module_version": "~0.11.0", "_model_name": "AnyModel", "_view_module": "anywidget", "_view_module_version": "~0.11.0",
                  "_view_name": "AnyView", "_view_count": None, "_esm": MODULE, "_anywidget_id": "stranger", "_css": "", "_dom_classes": [], "tabbable": None, "tooltip": None},
    }  # fmt: skip
    state = {"application/vnd.jupyter.widget-state+json": {"version_major": 2, "version_minor": 0, "state": {"stranger-1": widget}}}
    outputs = [{"output_type": "display_data", "metadata": {}, "data": {mime: text}} for mime, text in OUTPUTS.items()]
    outputs.append({"output_type": "display_data", "metadata": {}, "data": {"application/vnd.jupyter.widget-view+json": {"version_major": 2, "version_minor": 0, "model_id": "stranger-1"}, "text/plain": "a widget"}})
    cells = [
        {"cell_type": "markdown", "id": "said", "metadata": {}, "source": f"# A lesson\n\n{IMAGE.format('markdown')}"},
        {"cell_type": "code", "id": "done", "metadata": {}, "execution_count": 1, "source": "1 + 1", "outputs": outputs},
    ]
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return json.dumps({"cells": cells, "metadata": {"kernelspec": kernel, "widgets": state}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.skipif(not (EXTENSION / "package.json").exists(), reason="browser: the front end is not built; run: make front-end")
def test_a_notebook_and_a_page_that_are_only_opened_run_nothing(tmp_path):
    with Lab(tmp_path) as lab, chromium(1280, 900) as browser:
        (lab.root / "lesson.ipynb").write_text(a_notebook())
        (lab.root / "page.html").write_text(f"<!doctype html><h1>A page</h1>{IMAGE.format('page')}")
        page = browser.page()
        open_lab(page, lab, "lesson.ipynb")
        page.get_by_role("heading", name="A lesson").wait_for()
        page.locator(".jp-OutputArea-output").first.wait_for()
        page.wait_for_timeout(4000)  # a model would be made, and its view drawn, some time after the kernel is there
        assert page.evaluate("() => window.hacked") is None
        browser.shot(page, "stranger-notebook")
        page.evaluate("() => window.jupyterapp.commands.execute('docmanager:open', { path: 'page.html', factory: 'HTML Viewer' })")
        page.locator("iframe.jp-HTMLViewer, .jp-HTMLViewer iframe, .jp-IFrame iframe").first.wait_for()
        page.wait_for_timeout(2000)
        assert page.evaluate("() => window.hacked") is None and all(frame.evaluate("() => window.hacked") is None for frame in page.frames[1:])
