"""The shared selection: a mask where widgets share their ids, a tuple of text for whoever reads it."""

import numpy as np
import pytest

from astrofuse_lab.widgets.base import Base, Selection, from_bits, to_bits
from astrofuse_lab.widgets.selection import Chosen

pytest_plugins = ["widget_tools"]
pytestmark = pytest.mark.usefixtures("any_view")


def test_a_million_bits_come_to_python_and_to_a_linked_widget_as_they_are():
    n = 1_000_003  # not a whole number of bytes
    ids = np.char.add("s", np.arange(n).astype(str))
    mask = np.random.default_rng(3).random(n) < 0.4
    assert np.array_equal(from_bits(to_bits(mask), n), mask) and len(to_bits(mask)) == 125_001
    one = Base(ids)
    other = Base(ids.copy(), one.selection)
    try:
        one.set_state({"selected": memoryview(to_bits(mask))})
        assert one.wait() and other.selected == to_bits(mask)
        chosen = one.selection.chosen
        assert len(chosen) == mask.sum() and chosen._made is None, "nobody read the ids, so none was made"
        assert chosen.first(3) == ids[np.flatnonzero(mask)[:3]].tolist()
        assert one.selection.ids == tuple(ids[mask].tolist()) and isinstance(one.selection.ids, tuple)
        assert one._places is None and other._places is None, "no widget needed an index of its ids"
    finally:
        one.close()
        other.close()


def test_widgets_of_other_samples_share_what_they_know():
    one, other = Base(["a", "b", "c"]), Base(["c", "x", "a"])
    other.close()
    other = Base(["c", "x", "a"], one.selection)
    try:
        one.set_state({"selected": memoryview(to_bits(np.array([True, False, True])))})
        assert one.wait() and one.selection.ids == ("a", "c") and from_bits(other.selected, 3).tolist() == [True, False, True]
        other.selection.ids = ["x", "b"]
        assert from_bits(one.selected, 3).tolist() == [False, True, False] and from_bits(other.selected, 3).tolist() == [False, True, False]
        assert other.selection.ids == ("x", "b")
    finally:
        one.close()
        other.close()


def test_what_is_chosen_is_a_sequence_equal_to_its_tuple():
    ids = np.array(["a", "b", "c", "d"])
    heard = []
    selection = Selection()
    selection.observe(lambda change: heard.append(change["new"]), "ids")
    selection.choose(ids, np.array([True, False, True, False]))
    selection.choose(ids, np.array([True, False, True, False]))
    assert len(heard) == 1, "the same again is no news"
    (chosen,) = heard
    assert chosen == ("a", "c") and chosen != ("a",) and list(chosen) == ["a", "c"]
    assert tuple.__eq__(("a", "c"), chosen) is NotImplemented, "so that a tuple on the left asks us"
    assert len(chosen) == 2 and chosen[0] == "a" and chosen[:1] == ("a",) and "c" in chosen and "b" not in chosen
    assert chosen == Chosen.of(["a", "c"]) and hash(chosen) == hash(("a", "c")) and repr(chosen) == "('a', 'c')"
    selection.ids = (1, 2)
    assert selection.ids == ("1", "2") and selection.chosen.first(1) == ["1"] and repr(selection) == "Selection(2 ids)"
    assert Selection(ids=["q"], focus="q").ids == ("q",)
    # an array that differs in one id is another array
    assert chosen.over(np.array(["a", "b", "c", "e"])) is None and chosen.over(ids) is not None
