"""A notebook or a MyST page read as a lesson. Nothing in it is executed: text is text, code is shown, and checks are rows of `expectations`.

::

    ---
    lesson: first-fusion
    title: First fusion
    minutes: 30
    seed: 7
    samples: practice
    n: 300
    ---
    # Words, lists and code of the page

    ```{objectives}
    - say when fusing helps
    ```

    ```{predict} better
    Will the fused network beat the best single kind?
    - yes
    - no
    ```

    ```{task} gaps
    :expects: {"count": {"missing": "spectrum"}}
    :mistake: {"count": {"present": "spectrum"}} | That is how many have one.
    :hint: samples.present("spectrum") is True where there is one.
    :reveal: Count where it is False.
    How many samples have no spectrum?
    ```

Fences may be of ``:`` too. In a notebook the same stands in markdown cells, and the block between the lines of ``---`` in the first one. ``:unit:`` of a question asks for a number.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from astrofuse_lab.errors import InputError
from astrofuse_lab.lessons.plan import CONTROL, Plan, Question, Task, text_of

BYTES, BLOCKS, CODE = 5_000_000, 2000, 8000
"""At most: bytes of a file, blocks of a page, characters of a piece of code."""
OPENING = re.compile(r"^(`{3,}|:{3,})\s*(?:\{([\w-]+)\})?\s*(.*)$")
OPTION = re.compile(r"^:([a-z]+):\s*(.*)$")
BULLET = re.compile(r"^\s*[-*+]\s+(?:\[[ xX]?\]\s+)?(.+)$")
Block = tuple[str, Any]


def read_page(path: str | Path) -> Plan:
    """The lesson in a file ``.md`` (MyST) or ``.ipynb``.

    Parameters
    ----------
    path : path

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If it cannot be read, is too large, or holds a question or task that makes no sense.
    """
    where = Path(path).expanduser()
    try:
        with open(where, "rb") as file:
            raw = file.read(BYTES + 1)
        if len(raw) > BYTES:
            raise InputError(f"{where} has more than {BYTES // 1_000_000} MB: no lesson is that large.")
        text = raw.decode("utf-8")
    except OSError as error:
        raise InputError(f"{where} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise InputError(f"{where} is no text in UTF-8. A lesson is a MyST page (.md) or a notebook (.ipynb).") from None
    texts = list(_cells(text, where)) if where.suffix == ".ipynb" else [("markdown", text)]
    try:
        plan = _plan(texts, re.sub(r"[^a-z0-9_-]+", "-", where.stem.casefold()).strip("-_")[:40] or "lesson")
    except InputError as error:
        raise InputError(f"{where.name}: {error}") from None
    plan.source = CONTROL.sub("", where.name)
    return plan


def _cells(text: str, where: Path) -> Iterator[tuple[str, str]]:
    """Kind and text of each cell of a notebook; outputs are not looked at."""
    try:
        cells = json.loads(text)["cells"]
        for cell in cells:
            source = cell["source"]
            yield str(cell["cell_type"]), source if isinstance(source, str) else "".join(map(str, source))
    except (ValueError, RecursionError, KeyError, TypeError):
        raise InputError(f"{where} is no notebook.") from None


def _plan(texts: list[tuple[str, str]], name: str) -> Plan:
    first, rest = _front(texts[0][1]) if texts and texts[0][0] != "code" else ({}, "")
    if first:
        texts = [("markdown", rest), *texts[1:]]
    samples: dict[str, Any] = {}
    if "folder" in first or "samples" in first:
        samples = {"folder": first["folder"]} if "folder" in first else {"name": first["samples"], "seed": _whole(first, "seed", 0)}
        samples |= {"n": _whole(first, "n", 0)} if "n" in first else {}
        samples |= {"digest": first["digest"]} if "digest" in first else {}
    blocks = [block for kind, text in texts for block in (list(_blocks(text)) if kind != "code" else [("code", CONTROL.sub("", text)[:CODE])])]
    if len(blocks) > BLOCKS:
        raise InputError(f"{len(blocks)} paragraphs, lists and pieces of code; {BLOCKS} are the most.")
    goals = [one for kind, more in blocks if kind == "objectives" for one in more]
    heading = next((more[1] for kind, more in blocks if kind == "heading"), "")
    plan = Plan.of(first.get("lesson", name), first.get("title", heading[:200]), goals, _whole(first, "minutes", 0), _whole(first, "seed", 0), samples)
    more: Any
    for kind, more in blocks:
        if kind in ("question", "task"):
            if more.name in plan.items:
                raise InputError(f"{more.name!r} stands there twice. Give each question and task a name of its own.")
            plan.add(more)
            plan.body.append(("item", more.name))
        elif kind != "objectives":
            plan.body.append((kind, more))
    return plan


def _front(text: str) -> tuple[dict[str, str], str]:
    """What stands between two lines of ``---`` at the top, flat entries only, and the rest."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return {}, text
    end = next((i for i, line in enumerate(lines[1:200], 1) if line.strip() == "---"), 0)
    if not end:
        return {}, text
    found = (re.match(r"^([a-z]+):\s*(.+)$", line) for line in lines[1:end])
    return {m[1]: m[2].strip().strip("\"'") for m in found if m}, "\n".join(lines[end + 1 :])


def _whole(first: dict[str, str], key: str, default: int) -> int:
    given = first.get(key, str(default))
    if not given.isdigit() or len(given) > 10:
        raise InputError(f"{key}: {given[:40]!r} is no whole number.")
    return int(given)


# ---- text ------------------------------------------------------------------------------------------------------------


def _blocks(text: str) -> Iterator[Block]:
    """Headings, paragraphs, lists, code, and what our directives hold."""
    lines = text.splitlines()
    at = 0
    words: list[str] = []
    while at <= len(lines):
        line = lines[at] if at < len(lines) else ""
        fence = OPENING.match(line)
        heading = re.match(r"^(#{1,4})\s+(.+?)\s*#*$", line)
        if fence or heading or not line.strip() or at == len(lines):
            yield from _paragraph(words)
            words = []
        elif words and bool(BULLET.match(line)) != bool(BULLET.match(words[0])) and not line.startswith(" "):
            yield from _paragraph(words)
            words = [line]
        else:
            words.append(line)
        at += 1
        if heading:
            yield "heading", [len(heading[1]), text_of(heading[2][:400], "a heading")]
        if fence:
            inside, at = _fenced(lines, at, fence[1])
            yield from _directive(fence[2] or "", fence[3].strip(), inside)


def _fenced(lines: list[str], at: int, mark: str) -> tuple[list[str], int]:
    """The lines up to the fence that closes, and where the page goes on; one that is never closed reaches to the end."""
    for end in range(at, len(lines)):
        line = lines[end].strip()
        if len(line) >= len(mark) and set(line) == {mark[0]}:
            return lines[at:end], end + 1
    return lines[at:], len(lines)


def _paragraph(words: list[str]) -> Iterator[Block]:
    if not words:
        return
    if BULLET.match(words[0]):
        yield "list", _bullets(words)
    else:
        yield "text", text_of(" ".join(w.strip() for w in words)[:8000], "a paragraph", 8000)


def _bullets(lines: list[str]) -> list[str]:
    out: list[str] = []
    for line in lines:
        bullet = BULLET.match(line)
        if bullet:
            out.append(bullet[1].strip())
        elif out and line.strip():
            out[-1] += f" {line.strip()}"
    return [text_of(one[:4000], "an entry") for one in out]


def _directive(name: str, argument: str, lines: list[str]) -> Iterator[Block]:
    if name == "objectives":
        yield "objectives", _bullets(lines)
    elif name in ("predict", "task"):
        options, body = _options(lines)
        yield ("question", _question(argument, options, body)) if name == "predict" else ("task", _task(argument, options, body))
    elif name in ("note", "tip", "warning", "important", "hint", "admonition"):
        yield from _blocks("\n".join(_options(lines)[1]))
    else:
        yield "code", CONTROL.sub("", "\n".join(_options(lines)[1] if name else lines))[:CODE]


def _options(lines: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    out = []
    at = 0
    while at < len(lines) and (found := OPTION.match(lines[at])):
        out.append((found[1], found[2].strip()))
        at += 1
    return out, lines[at:]


def _question(name: str, options: list[tuple[str, str]], body: list[str]) -> Question:
    _known(name, options, ("unit",))
    choices = _bullets([line for line in body if BULLET.match(line)])
    return Question.of(name, " ".join(line.strip() for line in body if not BULLET.match(line)).strip(), choices, dict(options).get("unit", ""))


def _task(name: str, options: list[tuple[str, str]], body: list[str]) -> Task:
    _known(name, options, ("expects", "mistake", "hint", "reveal"))
    given = dict(options)
    if "expects" not in given:
        raise InputError(f'task {name[:40]!r} says nothing of what it expects. Add e.g. :expects: {{"count": {{"missing": "spectrum"}}}}')
    wrong = []
    for text in (value for key, value in options if key == "mistake"):
        spec, bar, words = text.partition("|")
        if not bar:
            raise InputError(f"task {name[:40]!r}: a mistake is an expectation, a bar and what is said: {{...}} | words.")
        wrong.append((_json(spec, name), words.strip()))
    return Task.of(
        name, "\n".join(body).strip(), _json(given["expects"], name), mistakes=wrong, hints=[value for key, value in options if key == "hint"], reveal=given.get("reveal", ""),
    )  # fmt: skip


def _known(name: str, options: list[tuple[str, str]], known: tuple[str, ...]) -> None:
    for key, _ in options:
        if key not in known:
            raise InputError(f"{name[:40]!r} has the option :{key}:, which is none. Known: {', '.join(f':{one}:' for one in known)}.")


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f'task {name[:40]!r}: {text[:80]!r} is no JSON. Type e.g. {{"count": {{"missing": "spectrum"}}}}.') from None
