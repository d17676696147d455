"""A DaCHS server of the tests' own on loopback: the software behind many public archives, with its database, in a folder that goes away with it.

Nothing of a system-wide DaCHS or PostgreSQL is touched: the database cluster, the configuration (GAVOSETTINGS, see the tutorial at
https://docs.g-vo.org/DaCHS/tutorial.html) and the ports are its own. Both refuse to run as root, so they run as the user ``postgres``; the kernel ends
them if the tests are killed (``setpriv --pdeathsig``).
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

USER = "postgres"


def why_not() -> str:
    """Why the server cannot run here; empty where it can."""
    if not Path("/etc/debian_version").is_file() or os.geteuid() != 0:
        return "DaCHS is started on Debian as root only"
    lacking = [name for name in ("dachs", "setpriv", "pg_lsclusters") if shutil.which(name) is None]
    if lacking or not _binaries():
        return f"DaCHS is not installed ({', '.join(lacking) or 'no PostgreSQL'} missing): .ci/install-dachs"
    return ""


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


CONFIGURATION = """[general]
rootDir: {root}/gavo
gavoGroup: {user}
group: {user}
[web]
serverPort: {port}
serverURL: http://127.0.0.1:{port}
bindAddress: 127.0.0.1
user:
[async]
hardMAXREC: 20000000
[ivoa]
authority: x-astrofuse
dalDefaultLimit: 10000
"""


class Dachs:
    """The server. Use as a context manager: what is started ends with the block.

    Attributes
    ----------
    url : str
    inputs : Path
        Where resource descriptors and data go, one folder a resource.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="astrofuse-dachs-", dir="/tmp"))
        self.port, self.database_port = _port(), _port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.inputs = self.root / "gavo" / "inputs"
        self.log = self.root / "log"
        self.running: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.root), "LANG": "C.UTF-8", "GAVOSETTINGS": str(self.root / "gavo.rc"), "GAVOCUSTOM": "/none",
            "PGHOST": "127.0.0.1", "PGPORT": str(self.database_port), "PGUSER": USER,
        }  # fmt: skip

    def __enter__(self) -> "Dachs":
        try:
            (self.root / "gavo").mkdir()
            (self.root / "gavo.rc").write_text(CONFIGURATION.format(root=self.root, user=USER, port=self.port))
            self.own(self.root)
            self.start_database()
            self.dachs("init", "-d", f"host=127.0.0.1 port={self.database_port} dbname=gavo user={USER}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process, ending in reversed(list(zip(self.running, (signal.SIGINT, signal.SIGTERM), strict=False))):
            process.send_signal(ending)  # PostgreSQL's "fast" shutdown; DaCHS heeds no SIGINT
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()
        shutil.rmtree(self.root, ignore_errors=True)

    def own(self, folder: Path) -> None:
        """Hand files to the user that the server runs as."""
        for place, _, names in os.walk(folder):
            for name in ("", *names):
                shutil.chown(os.path.join(place, name), USER, USER)

    def start_database(self) -> None:
        """A cluster of its own, without care for power cuts."""
        binaries, data = _binaries(), self.root / "db"
        self.run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        self.start(
            str(binaries / "postgres"), "-D", str(data), "-p", str(self.database_port), "-k", str(self.root), "-c", "listen_addresses=127.0.0.1",
            "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "jit=off",
        )  # fmt: skip
        self.await_(lambda: self.try_(str(binaries / "pg_isready")), "PostgreSQL")
        self.run(str(binaries / "createdb"), "gavo")

    def publish(self, *descriptors: str) -> None:
        """Load resource descriptors (``//obscore``, ``practice/q``)."""
        self.own(self.inputs)
        for descriptor in descriptors:
            self.dachs("imp", descriptor)

    def serve(self) -> None:
        """Start to answer."""
        self.start("/usr/bin/dachs", "serve", "debug")
        self.await_(lambda: urllib.request.urlopen(f"{self.url}/tap/availability", timeout=5).status == 200, "DaCHS")

    def dachs(self, *arguments: str) -> None:
        """One of its commands."""
        self.run("/usr/bin/dachs", *arguments)

    def run(self, *command: str) -> None:
        """A command to its end; its own words where it fails."""
        done = subprocess.run([*self._as(), *command], env=self.environment, cwd=self.root, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    def try_(self, *command: str) -> bool:
        return subprocess.run([*self._as(), *command], env=self.environment, cwd=self.root, capture_output=True, check=False).returncode == 0

    def start(self, *command: str) -> None:
        # orphaned, PostgreSQL is to end at once ("immediate" shutdown): nobody wants what it holds any more
        with self.log.open("ab") as log:
            self.running.append(subprocess.Popen([*self._as("QUIT" if command[0].endswith("postgres") else "KILL"), *command], env=self.environment, cwd=self.root, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
        # until setpriv has become the command, nobody would tell it that we are gone
        self.await_(lambda: Path(f"/proc/{self.running[-1].pid}/comm").read_text().strip() != "setpriv", command[0])

    def await_(self, ready, what: str, patience: float = 60.0) -> None:
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if ready():
                    return
            except OSError:
                pass
            if self.running[-1].poll() is not None:
                break
            time.sleep(0.2)
        raise RuntimeError(f"{what} does not answer: {self.log.read_text()[-4000:]}")

    @staticmethod
    def _as(when_orphaned: str = "KILL") -> list[str]:
        return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--pdeathsig", when_orphaned]
