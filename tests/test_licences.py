"""Nothing that an installation needs, however deep, may be under the GPL or AGPL (the LGPL may): the library itself is BSD-3-Clause."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
STRONG = re.compile(r"(?<![a-z])a?gpl|gnu (affero )?general public", re.IGNORECASE)
WEAK = re.compile(r"lgpl|(lesser|library) general public", re.IGNORECASE)


def strong(words):
    """Whether one licence's name is that of the GPL or AGPL."""
    return STRONG.search(words) is not None and WEAK.search(words) is None


def forbids(expression):
    """Whether an SPDX expression leaves no choice but the GPL: every part of an OR, any part of an AND."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)

    def either(at):
        left, at = both(at)
        while at < len(tokens) and tokens[at].upper() == "OR":
            right, at = both(at + 1)
            left = left and right
        return left, at

    def both(at):
        left, at = one(at)
        while at < len(tokens) and tokens[at].upper() in ("AND", "WITH"):
            right, at = one(at + 1)
            left = left or right
        return left, at

    def one(at):
        if tokens[at] == "(":
            inner, at = either(at + 1)
            return inner, at + 1
        return strong(tokens[at]), at + 1

    return either(0)[0]


def licence_of(package):
    """What a package states, best source first: SPDX expression, classifiers, the first line of the licence field."""
    stated = package.get("License-Expression")
    if stated:
        return stated, forbids(stated)
    named = [c.removeprefix("License :: ").removeprefix("OSI Approved :: ") for c in package.get_all("Classifier") or [] if c.startswith("License :: ") and c.count("::") > 1]
    if named:
        return "; ".join(named), any(strong(name) for name in named)
    first = next(iter((package.get("License") or "").strip().splitlines()), "")
    return first, strong(first)


def needed(requirements, distribution=metadata.distribution):
    """Metadata of what is required, and of what that requires, by name; options of packages only where they were asked for."""
    found, waiting = {}, [(Requirement(line), ("",)) for line in requirements]
    seen = set()
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        key = (re.sub(r"[-_.]+", "-", requirement.name).lower(), tuple(sorted(requirement.extras)))
        if key in seen:
            continue
        seen.add(key)
        one = distribution(requirement.name)  # raises where it is not installed: then nothing can be said
        found[key[0]] = one.metadata
        waiting += [(Requirement(line), ("", *requirement.extras)) for line in one.requires or []]
    return found


def declared():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_nothing_that_an_installation_needs_is_under_the_gpl():
    packages = needed(declared())
    assert len(packages) > 60 and {"pyerfa", "urllib3", "tornado", "numba"} <= set(packages)  # what others bring along is walked, too
    said = {name: licence_of(package) for name, package in packages.items()}
    assert not {name: words for name, (words, forbidden) in said.items() if forbidden}
    assert not [name for name, (words, _) in said.items() if not words or words == "UNKNOWN"], "a package that states no licence cannot be judged"


@pytest.mark.parametrize(("expression", "forbidden"), [
    ("MIT", False), ("GPL-3.0-or-later", True), ("AGPL-3.0-only", True), ("LGPL-2.1-or-later", False), ("MIT OR GPL-2.0-only", False), ("MIT AND GPL-3.0-only", True),
    ("(MIT OR GPL-2.0-only) AND BSD-3-Clause", False), ("(GPL-2.0-only OR AGPL-3.0-only) AND MIT", True), ("Apache-2.0 WITH LLVM-exception", False),
])  # fmt: skip
def test_a_choice_is_no_duty(expression, forbidden):
    assert forbids(expression) is forbidden


@pytest.mark.parametrize(("stated", "forbidden"), [
    ({"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"}, True), ({"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, True),
    ({"Classifier": "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"}, False), ({"License": "GPLv2+\nand much more"}, True),
    ({"License": "BSD 3-Clause\n\nA compiler's runtime in the wheel is under the GPL with an exception"}, False), ({"License": "LGPL"}, False),
    ({"License-Expression": "BSD-3-Clause", "Classifier": "License :: OSI Approved :: GNU General Public License (GPL)"}, False),
])  # fmt: skip
def test_what_packages_write_is_understood(tmp_path, stated, forbidden):
    assert licence_of(written(tmp_path, "x", **stated).metadata)[1] is forbidden


def written(folder, name, requires=(), **stated):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {line}" for line in requires)]
    for field, value in stated.items():
        lines.append(f"{field}: " + value.replace("\n", "\n        "))
    (info / "METADATA").write_text("\n".join(lines) + "\n")
    return metadata.PathDistribution(info)


def test_a_licence_three_steps_down_is_found(tmp_path):
    made = {
        "a": written(tmp_path, "a", ["b[fast]"], License="MIT"), "b": written(tmp_path, "b", ["c; extra == 'fast'", "d; extra == 'slow'", "e; sys_platform == 'nowhere'"]),
        "c": written(tmp_path, "c", License="GPLv3"), "d": written(tmp_path, "d", License="GPLv3"), "e": written(tmp_path, "e"),
    }  # fmt: skip
    found = needed(["a>=1"], made.__getitem__)
    assert list(found) == ["a", "b", "c"] and [name for name in found if licence_of(found[name])[1]] == ["c"]
