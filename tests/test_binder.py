"""binder/: what repo2docker reads, and what a server there is told. The environment itself is built by `make binder`."""

import os
import re
import subprocess
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
