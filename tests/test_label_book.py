"""The book of labels: several annotators, undo, agreement, files; and nothing lost when a kernel is killed, a disk fills or two write at once."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from conftest import make_toy_samples
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

import astrofuse_lab as af
from astrofuse_lab.errors import InputError, SampleSetError, StorageError
from astrofuse_lab.explain.suggestions import WAYS
from astrofuse_lab.samples import annotations_journal
from astrofuse_lab.samples.annotations_agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from astrofuse_lab.samples.annotations_book import LABELS, LabelBook
from astrofuse_lab.samples.annotations_exchange import escaped, plain


def answers(book):
    return {(i, who, said.label, said.unsure) for i, votes in book.every().items() for who, said in votes.items()}


# ---- what was said -----------------------------------------------------------------------------------------------------


def test_several_annotators_not_sure_undo_and_redo(tmp_path):
    book = LabelBook(tmp_path / "labels.jsonl")
    book.say("a", "star", by="ann")
    book.say(["a", "b"], "galaxy", by="bob")
    book.say("b", None, by="ann")
    book.say("a", "galaxy", by="ann")
    assert answers(book) == {("a", "ann", "galaxy", False), ("a", "bob", "galaxy", False), ("b", "bob", "galaxy", False), ("b", "ann", "", True)}
    assert book.undo("ann") == ("a",) and book.get("a", "ann").label == "star"
    assert book.disagreements() == ["a"]
    assert book.undo("ann") == ("b",) and book.undo("ann") == ("a",) and book.undo("ann") == ()
    assert answers(book) == {("a", "bob", "galaxy", False), ("b", "bob", "galaxy", False)}
    assert book.redo("ann") == ("a",) and book.get("a", "ann").label == "star"
    book.say("c", "star", by="ann")
    assert book.redo("ann") == ()  # something else was said since
    assert book.undo("bob") == ("a", "b") and book.annotators == ("ann",)
    book.say("c", "", by="ann")
    assert book.ids() == ["a"] and book.undo("ann") == ("c",) and book.ids("ann") == ["a", "c"]
    again = LabelBook(book.path)
    assert answers(again) == answers(book) and again.redo("bob") == ("a", "b")
    assert answers(book) == answers(again)  # the first reads what the second added


@given(st.lists(st.one_of(st.tuples(st.sampled_from("xyz"), st.sampled_from(["star", None, ""]), st.sampled_from("ab")), st.tuples(st.sampled_from(["undo", "redo"]), st.sampled_from("ab"))), max_size=30))
@settings(max_examples=60, deadline=None)
def test_undo_and_redo_are_a_stack_for_each_annotator(acts):
    """Against the plainest model: a list of acts each, what holds is the last word on each object."""
    book, done, undone = LabelBook(), {"a": [], "b": []}, {"a": [], "b": []}
    for act in acts:
        if len(act) == 3:
            book.say(act[0], act[1], by=act[2])
            done[act[2]].append(act)
            undone[act[2]].clear()
        else:
            source, sink = (done, undone) if act[0] == "undo" else (undone, done)
            moved = getattr(book, act[0])(act[1])
            assert moved == ((source[act[1]][-1][0],) if source[act[1]] else ())
            if source[act[1]]:
                sink[act[1]].append(source[act[1]].pop())
    holds = {(i, who): label for who, each in done.items() for i, label, _ in each}
    assert answers(book) == {(i, who, label or "", label is None) for (i, who), label in holds.items() if label != ""}


def test_consensus_is_a_vote_and_a_tie_is_none():
    book = LabelBook()
    for who, said in {"a": "xxy", "b": "xyy", "c": "xy?"}.items():
        for number, letter in enumerate(said):
            book.say(f"o{number}", None if letter == "?" else letter, by=who)
    book.say("o3", "x", by="a")
    book.say("o3", "y", by="b")
    table = book.consensus(least=2)
    assert [None if np.ma.is_masked(v) else str(v) for v in table["label"]] == ["x", "y", "y", None]
    assert table["votes"].tolist() == [3, 2, 2, 1] and table["of"].tolist() == [3, 3, 2, 2] and table["unsure"].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(table["share"], [1, 2 / 3, 1, 0.5])
    assert len(LabelBook().consensus()) == 0 and len(LabelBook().table()) == 0
    with pytest.raises(InputError, match="least is 1 or more"):
        book.consensus(least=0)


# ---- agreement ---------------------------------------------------------------------------------------------------------


def test_cohen_kappa_is_that_of_scikit_learn_and_of_sas():
    rng = np.random.default_rng(0)
    for _ in range(20):
        codes = rng.integers(-1, 4, (40, 2))
        both = codes[(codes >= 0).all(1)]
        np.testing.assert_allclose(cohen_kappa(codes).value, cohen_kappa_score(both[:, 0], both[:, 1]), atol=1e-12)
    # SAS/STAT user's guide, FREQ procedure, example "Cohen's kappa coefficient": 88 patients, two dermatologists; kappa 0.3449, 95 % limits 0.2030 and 0.4868
    counts = [[10, 4, 1, 0], [5, 10, 12, 2], [2, 4, 12, 5], [0, 2, 6, 13]]
    found = cohen_kappa(np.array([(i, j) for i in range(4) for j in range(4) for _ in range(counts[i][j])]))
    np.testing.assert_allclose([found.value, found.low, found.high], [0.3449, 0.2030, 0.4868], atol=6e-5)
    assert found.objects == 88 and f"{found}".startswith("Cohen's kappa 0.34 [0.20, 0.49]; 51% of answers equal")


def test_fleiss_kappa_and_krippendorff_alpha_of_the_literature():
    # Fleiss 1971, as worked out in full at https://en.wikipedia.org/wiki/Fleiss'_kappa: 10 subjects, 14 raters, kappa 0.210
    rated = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
    found = fleiss_kappa(np.array([np.repeat(np.arange(5), row) for row in rated]))
    np.testing.assert_allclose(found.value, 0.210, atol=5e-4)
    assert found.low < 0.21 < found.high
    # Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, section C: 4 observers, 12 units, missing data; nominal alpha 0.743
    rows = ["1 2 3 3 2 1 4 1 2 * * *", "1 2 3 3 2 2 4 1 2 5 * 3", "* 3 3 3 2 3 4 2 2 5 1 *", "1 2 3 3 2 4 4 1 2 5 1 *"]
    codes = np.array([[-1 if x == "*" else int(x) - 1 for x in row.split()] for row in rows]).T
    found = krippendorff_alpha(codes)
    np.testing.assert_allclose(found.value, 0.743, atol=5e-4)
    assert found.low < 0.743 < found.high and found.objects == 11 and found.annotators == 4
    with pytest.raises(InputError, match="same number"):
        fleiss_kappa(np.array([[0, 1, 1], [0, 0, -1]]))
    book = LabelBook()
    for who, said in {"a": "xxyy", "b": "xyyx", "c": "xxyx"}.items():
        for number, letter in enumerate(said):
            book.say(f"o{number}", letter, by=who)
    # counts of x: 3, 2, 0, 2; mean agreement (1 + 1/3 + 1 + 1/3) / 4 = 2/3, by chance (7/12)^2 + (5/12)^2 = 37/72
    np.testing.assert_allclose(book.agreement(measure="fleiss").value, (2 / 3 - 37 / 72) / (1 - 37 / 72))
    assert book.agreement(["a", "b"], "cohen") == book.agreement(["a", "b"]) and book.agreement(["a", "b"], "krippendorff").measure == "Krippendorff's alpha"
    with pytest.raises(InputError, match="is of two annotators"):
        book.agreement(measure="cohen")
    with pytest.raises(InputError, match="no measure of agreement 'kohen'"):
        book.agreement(measure="kohen")


def test_intervals_cover_and_degenerate_answers_are_said():
    """Two annotators of known kappa: nine in ten intervals at least hold it. One label throughout: not defined, and said so."""
    rng, inside = np.random.default_rng(1), 0
    for _ in range(200):
        truth = rng.integers(0, 2, 60)
        codes = np.stack([np.where(rng.random(60) < 0.2, 1 - truth, truth) for _ in range(2)], 1)
        found = cohen_kappa(codes)  # same answer with 0.8^2 + 0.2^2 = 0.68; kappa (0.68 - 0.5) / 0.5
        inside += found.low <= 0.36 <= found.high
    assert inside >= 180
    book = LabelBook()
    assert "cannot be measured" in str(book.agreement())
    for who in ("a", "b", "c"):
        book.say(["x", "y"], "star", by=who)
    assert "not defined" in str(book.agreement()) and book.agreement(["a", "b"]).same == 1
    assert "not defined" in str(book.agreement(["a", "b"]))
    book.say("x", "galaxy", by="c")
    assert book.agreement().measure == "Krippendorff's alpha"


# ---- nothing is lost ---------------------------------------------------------------------------------------------------

WRITER = """
import sys
sys.path.insert(0, {root!r})
from astrofuse_lab.samples.annotations_book import LabelBook
book = LabelBook({path!r})
for number in range(100_000):
    book.say(f"{{sys.argv[1]}}{{number}}", "star", by=sys.argv[1])
    print(number, flush=True)
"""


def test_what_was_said_before_a_kill_is_there_after_it(tmp_path):
    """Two kernels write at once and are killed in the midst: all they had been told of is in the book, and it goes on."""
    path = tmp_path / "labels.jsonl"
    code = WRITER.format(root=str(Path(af.__file__).parents[1]), path=str(path))
    children = [subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE, text=True) for name in ("a", "b")]
    last = {}
    for name, child in zip(("a", "b"), children, strict=True):
        for line in child.stdout:
            last[name] = int(line)
            if last[name] >= 40:
                break
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    book = LabelBook(path)
    for name in ("a", "b"):
        assert {f"{name}{k}" for k in range(last[name] + 1)} <= set(book.ids(name))
    count = len(book)
    book.say("more", "galaxy")
    assert len(LabelBook(path)) == count + 1 and book.torn <= 2


def test_a_journal_cut_at_any_byte_keeps_all_that_came_before(tmp_path):
    path = tmp_path / "labels.jsonl"
    book = LabelBook(path)
    for number in range(3):
        book.say(f"o{number}", "star")
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for cut in [*range(0, len(annotations_journal.HEADER), 4), *range(ends[-2] - 3, len(whole))]:
        path.write_bytes(whole[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        torn = LabelBook(path)
        assert len(torn) == kept, cut
        torn.say("new", "galaxy")
        again = LabelBook(path)
        # a line that lacked only its end of line is whole, and counts
        assert {"new", *(f"o{k}" for k in range(kept))} <= set(again.ids()) and len(again) - kept in (1, 2)
        assert again.torn == (cut > len(annotations_journal.HEADER) and cut not in ends and cut + 1 not in ends)


def test_a_full_disk_keeps_labels_in_memory_and_the_file_whole(tmp_path, monkeypatch):
    book = LabelBook(tmp_path / "labels.jsonl")
    book.say("a", "star")
    before, real = book.path.read_bytes(), os.write

    def full(descriptor, text):
        real(descriptor, text[:7])
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as broken:
        broken.setattr(annotations_journal.os, "write", full)
        with pytest.raises(StorageError, match="is full"):
            book.say("b", "galaxy")
    assert book.path.read_bytes() == before and book.unsaved and book.get("b").label == "galaxy"
    LabelBook(book.path).say("other", "star", by="bob")
    book.say("c", "star")
    assert not book.unsaved and set(LabelBook(book.path).ids()) == {"a", "b", "c", "other"} == set(book.ids())
    book.path.unlink()  # taken away under us: what is known is written anew
    book.say("d", "star")
    assert set(LabelBook(book.path).ids()) == {"a", "b", "c", "d", "other"}


@pytest.mark.parametrize("text", ["{}\n", "[]\n", "\x00\x01\n", '{"format": "astrofuse-labels", "version": 9}\n', "object_id,label\n", "[" * 5000 + "\n", "no line"])
def test_another_file_is_left_alone(tmp_path, text):
    path = tmp_path / "labels.jsonl"
    path.write_text(text)
    with pytest.raises(SampleSetError, match=r"no journal of labels|later version"):
        LabelBook(path).ids()
    with pytest.raises(SampleSetError):
        LabelBook(path).say("a", "star")
    assert path.read_text() == text


def test_hostile_lines_cost_only_themselves(tmp_path):
    path = tmp_path / "labels.jsonl"
    book = LabelBook(path)
    book.say("a", "star")
    lines = ["null", "[1]", "{", '{"do":"say","by":7,"ids":"x"}', '{"do":"say","by":"m","ids":[1,"z",null],"label":[]}', '{"do":"undo","by":"nobody"}', '{"do":"keep","kind":"k","values":3}', "[" * 90_000]
    with path.open("a") as file:
        file.write("\n".join(lines) + "\n")
    again = LabelBook(path)
    again.say("b", "galaxy")
    assert set(again.ids()) == {"a", "b"} and again.torn == 4 and again.kept("k") == [] and "4 line(s) of it cannot be read" in repr(again)


def test_the_book_of_a_set_lies_beside_it_or_in_the_cache(tmp_path):
    memory, kept = make_toy_samples(6), af.SampleSet.open(make_toy_samples(6).save(tmp_path / "toy"))
    LabelBook.of(kept).say("toy-0001", "star")
    assert (kept.path / "labels.jsonl").is_file() and af.SampleSet.open(kept.path)["toy-0001"].object_id == "toy-0001"
    assert LabelBook.of(af.SampleSet.open(kept.path)).ids() == ["toy-0001"]
    kept.save(kept.path, overwrite=True)
    assert LabelBook.of(af.SampleSet.open(copied := kept.save(tmp_path / "copy"))).ids() == LabelBook.of(kept).ids() == ["toy-0001"]
    assert "labels.jsonl" not in (copied / "manifest.json").read_text()
    LabelBook.of(memory, "merging").say("toy-0002", "yes")
    assert LabelBook.of(make_toy_samples(6).take([3, 2, 0, 1, 4, 5]), "merging").ids() == ["toy-0002"]  # the same objects, in a later kernel
    assert LabelBook.of(memory).ids() == [] and LabelBook.of(af.SampleSet.open(memory.save(tmp_path / "saved")), "merging").ids() == ["toy-0002"]
    with pytest.raises(InputError, match="letters, digits"):
        LabelBook.of(memory, "../x")


# ---- files -------------------------------------------------------------------------------------------------------------


def test_files_come_back(tmp_path):
    book = LabelBook()
    book.say(["o1", "=cmd|' /C calc'!A0", "-5"], "star", by="ann")
    book.say("o1", "+1 (\"odd\", ünusual)", by="@bob")
    book.say("o2", None, by="'quoted")
    for name, format in (("a.csv", None), ("b.ecsv", None), ("c.csv", "zooniverse")):
        file = book.export(tmp_path / name, format)
        again = LabelBook()
        assert again.add(file) == 5 and answers(again) == answers(book), name
        if name.endswith(".csv"):
            cells = [cell for line in Table.read(file, format="ascii.csv", comment="//", converters={"*": str}).filled("") for cell in map(str, line)]
            assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t"))]
        with pytest.raises(StorageError, match="already exists"):
            book.export(file, format)
    zooniverse = Table.read(tmp_path / "c.csv", format="ascii.csv")
    assert json.loads(zooniverse["annotations"][0])[0]["task"] == "T0" and zooniverse["user_name"][0] == "ann"
    with pytest.raises(InputError, match="one of csv, ecsv, zooniverse"):
        book.export(tmp_path / "labels.xlsx")


def test_what_is_taken_in_is_looked_at_first(tmp_path):
    samples = make_toy_samples(4)
    samples.annotate(["toy-0001", "toy-0002"], label="star")
    book = LabelBook()
    assert book.add(samples.annotations.table(), by="ann") == 2 and book.get("toy-0002", "ann").label == "star"
    (tmp_path / "bad.csv").write_text("id,name\n1,2\n")
    with pytest.raises(InputError, match="object_id and label; there are id, name"):
        book.add(tmp_path / "bad.csv")
    (tmp_path / "long.csv").write_text(f"object_id,label\na,star\nb,{'x' * 81}\n")
    with pytest.raises(InputError, match="80 at most"):
        book.add(tmp_path / "long.csv")
    assert len(book) == 2  # nothing of it
    (tmp_path / "nul.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SampleSetError, match="cannot be read"):
        book.add(tmp_path / "nul.csv")
    (tmp_path / "z.csv").write_text('user_name,annotations,subject_data\nu,"[{}]","{}"\nu,"[[",x\nu,"[{""task"":""T0"",""value"":""star""}]","{""17"":{}}"\n')
    assert book.add(tmp_path / "z.csv") == 1 and book.get("17", "u").label == "star"


def test_what_cannot_be_said(tmp_path):
    book = LabelBook()
    for label, by, ids, match in (("x" * 81, "me", "a", "80 at most"), ("x", " ", "a", "needs a name"), ("x", "n" * 81, "a", "name of 81"), ("x", "me", "", "0 characters"), ("x", "me", "i" * 501, "501 characters")):
        with pytest.raises(InputError, match=match):
            book.say(ids, label, by)
    book.say("a", " two\n\x00 words\x1b ", by=" ann ")
    assert book.get("a", "ann").label == "two words"
    book.say("a", "Not Sure", by="ann")
    assert book.get("a", "ann").unsure
    for number in range(LABELS - 1):
        book.say("b", f"label {number}")
    with pytest.raises(InputError, match="labels are in use"):
        book.say("b", "one more")
    assert book.undo("nobody") == () and len(book) == 2


@given(st.text(max_size=12))
@settings(max_examples=100, deadline=None)
def test_escaping_is_undone(text):
    assert plain(escaped(text)) == text and not escaped(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page, names = (Path(af.__file__).parents[1] / "docs" / "labelling.md").read_text(), {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    names["widget"].close()
    assert "random" in names["curve"].meta["verdict"] and (tmp_path / "labels-out.csv").is_file()
    assert all(f"| `{name}`" in page for name in WAYS)
