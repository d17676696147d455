"""The worked example of the documentation does what the page says."""

import re
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import astrofuse_lab as af

PAGE = Path(__file__).parents[1] / "docs" / "adding-a-survey.md"


class Catalogue(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        content = b"name,mag\n" + (b"T 17,17.5\n" if "ra=10.5" in self.path else b"")
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def test_the_survey_of_the_page_is_fetched(monkeypatch):
    module = types.ModuleType("page_example")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    code = re.search(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert code.count("\n") <= 45
    exec(compile(code, str(PAGE), "exec"), module.__dict__)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Catalogue)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        module.TABLE.url = f"http://127.0.0.1:{server.server_port}/"
        found = af.fetch(af.Targets.from_table({"ra": [10.5, 50.0], "dec": [1.0, 2.0]}), [module.TABLE], progress=False)
    finally:
        server.shutdown()
        server.server_close()
    assert list(found.status["state"]) == ["found", "empty"]
    row = found.get("mine/table", found.targets.ids[0])
    assert row.values == {"name": "T 17", "mag": 17.5} and row.roles == {"name": "id"} and row.provenance.licence == "CC-BY-4.0"
