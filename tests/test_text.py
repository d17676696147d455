"""Texts: cleaned, rid of labels, read for objects and positions, linked, and sorted into topics."""

import numpy as np
import pyarrow as pa
import pytest
from conftest import make_toy_samples
from hypothesis import example, given, settings
from hypothesis import strategies as st

import astrofuse_lab as af
from astrofuse_lab.alignment.text_cleaning import clean
from astrofuse_lab.alignment.text_labels import label_words, strip_labels
from astrofuse_lab.alignment.text_objects import find, key, spelt, strip
from astrofuse_lab.errors import AlignmentError, InputError
from astrofuse_lab.samples.arrays import ModalityData
from astrofuse_lab.samples.leakage import audit
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.samples.specification import ModalitySpec
from astrofuse_lab.samples.texts import mentions, texts_of, without_label_words
from astrofuse_lab.samples.topics import topics

CIRCULAR = """TITLE:   GCN CIRCULAR
NUMBER:  12345
SUBJECT: GRB 230307A: optical afterglow
DATE:    23/03/07 10:00:00 GMT
FROM:    A. Author at Somewhere <a.author@some.where.org>

We observed the field (Author et al. 2019) of <b>GRB&nbsp;230307A</b>; z &lt; 0.3 and 3 < 5, H$\\alpha$ at $\\sim$6563 \\AA.
See https://gcn.nasa.gov/circulars/1 and [this page](http://a.example/b).


----------------------
This message may be cited.
"""


def texts_set(texts, **columns):
    raw = [t.encode() for t in texts]
    offsets = np.concatenate([[0], np.cumsum([len(r) for r in raw])]).astype(np.int64)
    data = ModalityData(ModalitySpec("text", "text"), {"offsets": offsets, "utf8": np.frombuffer(b"".join(raw), np.uint8)}, np.diff(offsets) > 0)
    roles = {n: r for n, r in (("label", "target"), ("objectId", "id")) if n in columns}
    return SampleSet(pa.table({"object_id": [f"o{i}" for i in range(len(texts))], **columns}), {"text": data}, roles)


# ---- cleaning -----------------------------------------------------------------------------------------------------


def test_a_circular_becomes_what_it_says():
    assert clean(CIRCULAR) == (
        "GRB 230307A: optical afterglow\n\nWe observed the field (Author et al. 2019) of GRB 230307A; z < 0.3 and 3 < 5, Hα at ~6563 Å.\nSee and this page."
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("<p>One</p><script>evil()</script><p>two</p>", "One\n\ntwo"), ("A&amp;A 4&#176;", "A&A 4°"), ("a\u00a0b\u2212c \u201cd\u201d e\u200bf", 'a b-c "d" ef'),
        ("Cafe\u0301 10\u207b\u00b9\u2077", "Caf\u00e9 10\u207b\u00b9\u2077"), ("**bold** and `code`\n- item", "bold and code\nitem"), ("", ""), ("a  b\t c\n\n\n\nd ", "a b c\n\nd"),
        ("costs $5", "costs $5"), ("a\u202eb", "ab"), ("1 < 2 > 0", "1 < 2 > 0"),
    ],
)  # fmt: skip
def test_cleaning(given, expected):
    assert clean(given) == expected


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab SN<>&;\\{}$*_`[]()#-\n\u2212\u00a0:/.3j")), max_size=60))
def test_cleaning_twice_changes_nothing(text):
    once = clean(text)
    assert clean(once) == once


def test_options_leave_what_they_name():
    assert "<b>" in clean("<b>x</b>", markup=False) and "http" in clean("see http://a.b/c", addresses=False)
    assert "may be cited" in clean("This message may be cited.", boilerplate=False) and "\u2212" in clean("\u22121", unicode=False)
    with pytest.raises(AlignmentError, match="at most 2000000"):
        clean("x" * 2_000_001)


@pytest.mark.parametrize("hostile", ["<" * 50_000, "[" * 50_000, "**" * 25_000, "a@" * 25_000, "\\a" * 25_000, "&" * 50_000, "<!" * 25_000, "J" * 50_000, "12:" * 20_000, "SN " * 20_000, "type " * 10_000])
def test_hostile_text_is_read_to_its_end(hostile):
    """Were a pattern to try all ways, this would take hours."""
    assert len(clean(hostile)) <= len(hostile)
    assert find(hostile) == [] and strip_labels(hostile, label_words(["AGN"]))[1].total() == 0


# ---- labels -------------------------------------------------------------------------------------------------------


def test_label_words_go_with_their_synonyms_plurals_and_spellings():
    words = label_words(["SN", "AGN", "CV"])
    text = "Type-Ia supernova, SNe, SN2019abc; quasars (QSO) or active_galactic  nuclei. A cv is none, CVs are, Novae too; snow, SNR and Casanova stay."
    got, counts = strip_labels(text, words)
    assert got == ", , 2019abc; ( ) or . A cv is none, are, too; snow, SNR and Casanova stay."
    assert counts.total() == 9 and counts["quasars"] == 1
    assert strip_labels(got, words)[1].total() == 0
    assert strip_labels("my thing", label_words(["x1"], ["my thing"]))[0] == ""
    with pytest.raises(InputError, match="no class is given"):
        strip_labels("text", [])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["supernova", "SN", "su", "pernova", "the", "quasar", "Ia", "type", "host"]), max_size=12), st.sampled_from([" ", "", "-"]))
@example(["type", "supernova", "supernova", "Ia"], " ")  # the blanks of both come together
def test_nothing_is_left_to_strip(parts, between):
    words = label_words(["SN", "AGN"])
    assert strip_labels(strip_labels(between.join(parts), words)[0], words)[1].total() == 0


def test_texts_of_a_set_no_longer_give_the_answer():
    rng = np.random.default_rng(0)
    label = rng.choice(["SN", "AGN"], 200)
    said = {"SN": ["a supernova", "SNe Ia like", "type II"], "AGN": ["a quasar", "Seyfert nucleus", "a QSO"]}
    samples = texts_set([f"The source is {rng.choice(said[c])} with a blue colour." for c in label], label=label)
    clean_set = without_label_words(samples, "label")
    assert clean_set.column("label_words_stripped").min() >= 1 and clean_set.roles["label_words_stripped"] == "other"
    assert "were stripped from 200 texts" in clean_set.card.notes[-1]
    left = " ".join(texts_of(clean_set, "text")).lower()
    assert not any(word in left for word in ("supernova", "quasar", "qso", "seyfert", "sne", "type ii"))
    assert "blue colour" in left
    with pytest.raises(InputError, match="not classes in words"):
        without_label_words(make_toy_samples(10), "redshift")
    assert set(audit(clean_set)["level"].tolist()) <= {""}


# ---- objects ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("SN 2019abc", "transient", "SN 2019abc"), ("SN1987A", "transient", "SN 1987A"), ("AT2018cow", "transient", "AT 2018cow"), ("GRB 230307A", "burst", "GRB 230307A"),
        ("GW170817", "gravitational wave", "GW170817"), ("GW190521_030229", "gravitational wave", "GW190521_030229"), ("S190425z", "gravitational wave", "S190425z"),
        ("ZTF18abcdefg", "transient", "ZTF18abcdefg"), ("NGC 4993", "source", "NGC 4993"), ("M31", "source", "M 31"), ("Messier 87", "source", "M 87"), ("FRB 20180916B", "radio burst", "FRB 20180916B"),
        ("IceCube-170922A", "neutrino", "IceCube-170922A"), ("ASASSN-14li", "transient", "ASASSN-14li"), ("ATLAS19dqr", "transient", "ATLAS19dqr"), ("TOI-700 d", "source", "TOI-700 d"),
        ("Gaia DR3 4472832130942575872", "source", "Gaia DR3 4472832130942575872"), ("3C 273", "source", "3C 273"), ("2MASS J12345678+1234567", "designation", "2MASS J12345678+1234567"),
        ("C/2019 Y4", "solar system", "C/2019 Y4"),
    ],
)  # fmt: skip
def test_designations(text, kind, name):
    (one,) = find(f"We saw ({text}), again.")
    assert (one.text, one.kind, one.name) == (text, kind, name)
    assert f"We saw ({text}), again."[one.start : one.end] == text


@pytest.mark.parametrize("text", ["an M5 V dwarf of 5 M sun", "ZTF18abc", "SN 19", "at 2019 March", "the MJD 58849.5", "12:30:00 UT", "G = 12.3, r = 14.5", "10 20 30 40", "IC", "pages 12-34", "SN 2019abcdefg"])
def test_what_names_no_object(text):
    assert find(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "12:34:56.78 +12:34:56.7", "RA(J2000) = 12:34:56.78, Dec(J2000) = +12:34:56.7", "12h34m56.78s, +12d34m56.7s", "12 34 56.78 +12 34 56.7", "RA = 188.736583, Dec = 12.582417",
        "R.A. 188.736583 deg, Decl. +12.582417", "12:34:56.78 \u221212:34:56.7".replace("\u2212", "+"), "SDSS J123456.78+123456.7",
    ],
)  # fmt: skip
def test_positions(text):
    (one,) = find(f"A source at {text} was seen.")
    assert one.ra == pytest.approx(188.736583, abs=2e-6) and one.dec == pytest.approx(12.582417, abs=2e-6)


def test_signs_off_the_sky_and_places():
    assert find("at 12:34:56.7 \u221212:34:56")[0].dec == pytest.approx(-12.582222, abs=1e-6)
    assert find("at 25:34:56.7 +12:34:56") == [] and find("at 12:74:56.7 +12:34:56") == [] and find("at 12:34:56.7 +92:34:56") == []
    text = "AT 2019xy, then SN2019xy at 01:02:03.4 -05:06:07."
    assert strip(text) == (", then at .", 3)
    assert key("SN2019xy") == key("AT 2019xy") == "2019xy" and spelt("Messier 31") == "M 31"


def test_mentions_are_linked_by_name_and_by_position():
    texts = ["SN 2019abc lies near NGC 1", "Like AT2019abc, at 00:40:00.1 +10:00:00; also GRB 010203.", "", "ZTF18abcdefg twice"]
    samples = texts_set(texts, objectId=["AT 2019abc", "x1", "x2", "x2"], ra=[5.0, 10.0, 50.0, 60.0], dec=[0.0, 10.0, 0.0, 0.0])
    got = mentions(samples)
    rows = {(r["object_id"], r["mention"]): (r["linked"], r["by"], bool(r["itself"])) for r in got}
    assert rows == {
        ("o0", "SN 2019abc"): ("o0", "name", True), ("o0", "NGC 1"): ("", "", False), ("o1", "AT2019abc"): ("o0", "name", False),
        ("o1", "00:40:00.1 +10:00:00"): ("o1", "position", True), ("o1", "GRB 010203"): ("", "", False), ("o3", "ZTF18abcdefg"): ("", "", False),
    }  # fmt: skip
    at = got[np.asarray(got["by"]) == "position"]
    assert at["separation"][0] == pytest.approx(1.5 * np.cos(np.radians(10)), abs=1e-3) and got["separation"].mask.sum() == 5
    assert not mentions(samples, radius=1.0)["linked"].tolist()[3]
    for bad, match in ((lambda: mentions(samples, 0), "radius=0"), (lambda: texts_of(make_toy_samples(5), "image"), "not text")):
        with pytest.raises(InputError, match=match):
            bad()


# ---- steps and topics ---------------------------------------------------------------------------------------------


def test_steps_of_text_and_the_columns_they_measure():
    samples = texts_set(["<b>SN 2019abc</b> at 12:34:56 +01:02:03 is a supernova", "nothing here", "supernova"])
    steps = ["clean", "find_objects", "strip_objects", ("strip_labels", {"classes": ["SN"]})]
    got = af.align(samples, steps={"text": steps})
    assert texts_of(got, "text") == ["at is a", "nothing here", ""] and got.present("text").tolist() == [True, True, False]
    assert got.column("objects_named")[0] == 1 and got.column("objects_stripped")[0] == 2 and got.column("label_words_stripped")[0] == 1
    assert got.column("text_ra")[0] == pytest.approx(188.7333, abs=1e-3) and np.ma.getmaskarray(got.column("text_ra"))[1]
    again = af.align(got, steps={"text": steps})
    assert texts_of(again, "text")[:2] == texts_of(got, "text")[:2]


def test_topics_are_found_and_read_from_the_training_part_only():
    rng = np.random.default_rng(1)
    about = [["spectrum redshift emission lines broad", "host galaxy redshift spectrum absorption"], ["periodic orbit asteroid ephemeris moving", "moving fast ephemeris orbit"]]
    kind = rng.integers(0, 2, 80)
    made = [f"{rng.choice(about[k])} {rng.choice(about[k])}" for k in kind]
    samples = texts_set([*made, "", "qqqq"])
    for how in ("nmf", "lda"):
        found = topics(samples, samples.object_ids[:60], n=2, how=how)
        shares = np.stack([found.samples.column(f"topic_{k}").filled(np.nan) for k in range(2)], axis=1)
        np.testing.assert_allclose(shares[:80].sum(axis=1), 1)
        assert np.isnan(shares[80:]).all() and found.samples.roles["topic_0"] == "other"
        assert len(set(zip(kind.tolist(), shares[:80].argmax(axis=1).tolist(), strict=True))) == 2  # each kind has a topic of its own
        assert any("orbit" in str(w) for w in found.words["words"])
        altered = texts_set([*made[:60], *["entirely other words zzz entirely"] * 20, "", "qqqq"])
        other = topics(altered, altered.object_ids[:60], n=2, how=how)
        assert other.words["words"].tolist() == found.words["words"].tolist()
        np.testing.assert_array_equal(other.samples.column("topic_0")[:60], found.samples.column("topic_0")[:60])
    for options, match in (({"n": 1}, "n is 2 or more"), ({"how": "magic"}, "one of nmf, lda"), ({"fit": ["o1"]}, "at least 5"), ({"n": 500}, "words only")):
        with pytest.raises(InputError, match=match):
            topics(samples, **options)
