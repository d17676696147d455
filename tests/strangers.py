"""Opens what a stranger sent, in a process of its own that watches itself: run as ``python tests/strangers.py FOLDER``, from inside that folder.

FOLDER holds ``kind/`` (innocent: opened first, so that all imports and compilations of ours are over) and ``evil/``. From then on an audit hook
writes down what no data file may cause: code run or compiled from elsewhere than the installed packages, objects unpickled, processes begun, connections,
libraries loaded, and files read or written anywhere but in the folders at hand. One JSON object per line, to the standard output.
"""

import collections
import dataclasses
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path()
ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(str(p) for p in (ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(sys.prefix)))
SYSTEM = ("/proc/", "/sys/", "/dev/null", "/dev/urandom", "/dev/shm/", "/etc/localtime", "/usr/share/zoneinfo", "/usr/lib", "/lib")
BEGUN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn", "socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request",
         "http.client.connect", "webbrowser.open", "ctypes.dlopen", "pickle.find_class", "shutil.unpack_archive")  # fmt: skip
CHANGED = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move", "shutil.copyfile")
PARSED = "<unknown>"
"""What `ast.parse` calls a text: NumPy reads the header of an array as a literal. To run it would be an ``exec`` of that name, which is met."""
TWO = ("os.rename", "os.link", "os.symlink", "shutil.move")
armed = False
met: list[str] = []
here = threading.local()


def inside(path: object, *roots: str) -> bool:
    """Whether a path is below one of the folders."""
    try:
        where = os.path.abspath(os.fsdecode(path))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True  # a descriptor
    return where.startswith(roots)


def declared() -> bool:
    """Whether a class is being made from its declaration in an installed package: dataclasses and named tuples, whose fields are identifiers."""
    frame = sys._getframe(3)
    while frame is not None and frame.f_code.co_filename in (dataclasses.__file__, collections.__file__):
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not sys._getframe(3) and frame is not None and inside(frame.f_code.co_filename, *OURS)


def begun(event: str, args: tuple[Any, ...]) -> object:
    """Code that is compiled or run and is not installed; what it is called."""
    if declared():
        return None
    if event == "exec":
        name = str(getattr(args[0], "co_filename", "?"))
        return None if inside(name, *OURS) or name.startswith("<frozen") else name
    name = "none" if args[1] is None else os.fsdecode(args[1])
    return None if inside(name, *OURS) or name == PARSED else f"{name} {str(args[0])[:80]}"


def touched(event: str, args: tuple[Any, ...]) -> object:
    """A file that is read or written where it should not be."""
    out = (str(HERE / "out"), os.environ["ASTROFUSE_CACHE"], "/dev/null")
    if event == "open":
        writes = (isinstance(args[1], str) and any(c in args[1] for c in "wax+")) or (isinstance(args[2], int) and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)))
        allowed = out if writes else (str(HERE), *out, *OURS, *SYSTEM)
        return None if isinstance(args[0], int) or inside(args[0], *allowed) else f"{args[0]} ({'written' if writes else 'read'})"
    paths = args[: 2 if event in TWO else 1]
    return None if all(inside(path, *out) for path in paths if isinstance(path, (str, bytes, os.PathLike))) else repr(paths)


def watch(event: str, args: tuple[Any, ...]) -> None:
    """The audit hook."""
    if not armed or getattr(here, "busy", False):
        return
    here.busy = True  # what is done below is no stranger's
    try:
        said = (
            begun(event, args) if event in ("exec", "compile") else repr(args)[:200] if event in BEGUN
            else touched(event, args) if event == "open" or event in CHANGED else None
        )  # fmt: skip
        if said is not None:
            met.append(f"{event}: {said}")
    finally:
        here.busy = False


# ---- what a person does with what was sent -------------------------------------------------------------------------


def samples(folder: Path, out: Path) -> object:
    """A sample set: every array, table and text of it, checked, cut and written anew."""
    import astrofuse_lab as af

    for verify in (True, False):
        opened = af.SampleSet.open(folder, verify=verify)
        repr(opened), opened.card, opened.roles, opened.units
        for name in opened.modalities:
            if name != "table":
                opened.arrays(name)
        for name in opened.table.colnames:
            opened.column(name)
        opened.quality()
        af.LabelBook.of(opened).table()
        opened.take([0, 1, 2]).save(out / f"samples-{verify}")
    return opened


def run(folder: Path, out: Path) -> object:
    """A run: predictions, and written anew."""
    import astrofuse_lab as af

    opened = af.Run.open(folder)
    opened.predict(af.SampleSet.open(folder.parent / "samples", verify=False))
    repr(opened), opened.recipe, opened.metrics
    opened.save(out / "run")
    return opened


def views(folder: Path, out: Path) -> object:
    """The workbench on both, its lines of Python, and a page of it."""
    import astrofuse_lab as af

    bench = af.workbench(af.Run.open(folder / "run"), af.SampleSet.open(folder / "samples"), umap=False)
    try:
        bench.save(out / "page.html", stored=3)
        return bench.code + "\n" + "\n".join(widget.code for widget in bench.widgets.values())
    finally:
        bench.close()


def labels(file: Path, out: Path) -> object:
    """A classmate's labels, added to one's own and written in every format."""
    import astrofuse_lab as af

    book = af.LabelBook(out / "mine.jsonl")
    book.add(file)
    for name in ("labels.csv", "labels.ecsv"):
        book.export(out / name)
    return book.table().pformat()


def recipe(file: Path, out: Path) -> object:
    """A recipe as JSON, used."""
    import astrofuse_lab as af

    return af.train(af.Recipe.from_json(json.loads(file.read_text())), af.SampleSet.open(HERE / "kind" / "samples"), target="label", epochs=1, progress=False)


def targets(file: Path, out: Path) -> object:
    """A list of targets."""
    import astrofuse_lab as af

    return repr(af.Targets.from_file(file))


def arrays(file: Path, out: Path) -> object:
    """A sample set of another format."""
    import astrofuse_lab as af

    opened = af.read_samples(file)
    return [opened.arrays(name) for name in opened.modalities if name != "table"]


def lesson(file: Path, out: Path) -> object:
    """A lesson on a page: its tasks answered, its hints and solutions shown."""
    import astrofuse_lab as af

    opened = af.lesson.open(file, keep=False)
    opened.use(samples=af.SampleSet.open(HERE / "kind" / "samples"))
    for name in opened.plan.items:
        opened.answer(name, "yes") if name == "guess" else opened.check(name, "touch owned")
    opened.hint("count"), opened.reveal("count"), repr(opened)
    return opened.save(out / "mine.lesson.json")


def progress(folder: Path, out: Path) -> object:
    """A class's progress files."""
    import astrofuse_lab as af

    return af.lesson.read_class(folder).save(out / "class.csv")


def canary(file: Path, out: Path) -> object:
    """What none of the above may do, done on purpose: the watch must see it."""
    import pickle

    (HERE / "elsewhere").write_text("")
    (HERE / "elsewhere").unlink()
    exec("1 + 1")
    return pickle.loads(file.read_bytes())


OPENED: dict[str, Callable[[Path, Path], object]] = {f.__name__: f for f in (samples, run, views, labels, recipe, targets, arrays, lesson, progress, canary)}
"""By the word before the first hyphen of a file's or folder's name; ``views`` is made of the folder itself."""


def main() -> None:
    """Innocent things first, then the stranger's; a line for each of those."""
    global armed
    from astrofuse_lab.errors import AstroFuseError

    sys.addaudithook(watch)
    tempfile.tempdir = str(HERE / "out")
    for path in [HERE / "kind", *sorted((HERE / "kind").iterdir())]:
        kind = "views" if path == HERE / "kind" else path.name.split("-")[0].split(".")[0]
        (HERE / "out" / "kind" / path.name).mkdir(parents=True)
        OPENED[kind](path, HERE / "out" / "kind" / path.name)
    for path in [HERE / "evil", *sorted((HERE / "evil").iterdir())]:
        kind = "views" if path == HERE / "evil" else path.name.split("-")[0].split(".")[0]
        if kind not in OPENED:
            continue  # what only lies there
        out = HERE / "out" / "evil" / path.name
        out.mkdir(parents=True)
        met.clear()
        said: dict[str, Any] = {"what": path.name}
        armed = True
        try:
            gave = OPENED[kind](path, out)
            said["code" if kind == "views" else "gave"] = gave if kind == "views" else type(gave).__name__
        except AstroFuseError as error:
            said["refused"] = f"{type(error).__name__}: {error}"
        except Exception as error:
            said["fault"] = f"{type(error).__name__}: {error}"
        armed = False
        print(json.dumps({**said, "met": list(dict.fromkeys(met))}), flush=True)


if __name__ == "__main__":
    main()
