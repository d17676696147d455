"""binder/: what repo2docker reads, and what a server there is told. The environment itself is built by `make binder`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BINDER = Path(__file__).parents[1] / "binder"
PROMISED = 1024**3


@pytest.mark.parametrize("given, told", [(None, PROMISED), ("2147483648", PROMISED), ("536870912", 536870912), ("much", PROMISED), ("", PROMISED)])
def test_a_server_keeps_to_what_binder_promises(given, told):
    env = {k: v for k, v in os.environ.items() if k != "MEM_LIMIT"} | ({} if given is None else {"MEM_LIMIT": given})
    done = subprocess.run([BINDER / "start", "sh", "-c", "echo $MEM_LIMIT $MALLOC_ARENA_MAX $*", "sh", "a b"], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == f"{told} 1 a b\n" and done.stderr == ""


def test_repo2docker_finds_what_it_looks_for():
    assert {p.name for p in BINDER.iterdir()} == {"postBuild", "requirements.txt", "runtime.txt", "start"}  # an environment.yml would make it ignore the others
    assert re.fullmatch(r"python-3\.1[1-4]\n", (BINDER / "runtime.txt").read_text())
    for name in ("postBuild", "start"):
        assert os.access(BINDER / name, os.X_OK)
        assert (BINDER / name).read_text().startswith("#!")
        subprocess.run(["bash", "-n", BINDER / name], check=True)
    assert (BINDER / "start").read_text().endswith('exec "$@"\n')


def test_nothing_in_requirements_is_unpinned_but_pip():
    lines = [line for line in (BINDER / "requirements.txt").read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert lines == ["pip>=24"]


def test_the_first_screen_is_the_launcher_beside_the_tutorials(tmp_path):
    """Whatever starts the server; and what the environment's files say already is kept."""
    held = tmp_path / "etc" / "jupyter" / "jupyter_server_config.json"
    held.parent.mkdir(parents=True)
    held.write_text('{"ServerApp": {"jpserver_extensions": {"panel.io.jupyter_server_extension": false}}}')
    script = BINDER.parent / ".ci" / "first-screen.py"
    for _ in range(2):
        subprocess.run([sys.executable, script, tmp_path, "/lab/tree/notebooks"], check=True)
    told = {path.stem: json.loads(path.read_text()) for path in tmp_path.rglob("*.json")}
    assert told["jupyter_server_config"]["ServerApp"] == {"jpserver_extensions": {"panel.io.jupyter_server_extension": False}, "default_url": "/lab/tree/notebooks"}
    assert told["jupyter_lab_config"]["LabApp"] == told["jupyter_notebook_config"]["JupyterNotebookApp"] == {"default_url": "/lab/tree/notebooks"}
    assert told["overrides"]["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"


def test_the_post_build_begins_there():
    text = (BINDER / "postBuild").read_text()
    assert ".ci/first-screen.py" in text and text.index("server extension disable") < text.index("first-screen.py") and "/lab/tree/notebooks" in text


def test_machine_code_is_made_for_any_processor_where_the_image_is_built():
    """A visitor whose node has another processor would compile it again: some seconds, and 60 MB of the 1,024."""
    told, built = (BINDER / "start").read_text(), (BINDER / "postBuild").read_text()
    assert "NUMBA_CPU_NAME=generic" in told
    assert built.index("export NUMBA_CPU_NAME=generic") < built.index("umap_layout") < built.index("08_the_lectures_toolbox.ipynb")
