"""SIMBAD by TAP on loopback; column names against the recorded description of SIMBAD's tables that astroquery ships."""

import io
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from answering import Answering
from astropy.io.votable import parse_single_table
from astropy.table import MaskedColumn, Table
from loopback import votable

from astrofuse_lab.errors import ArchiveError
from astrofuse_lab.surveys import simbad
from astrofuse_lab.surveys.survey import Ask, Raw
from astrofuse_lab.targets import Target, Targets

DATA = Path(find_spec("astroquery").origin).parent / "simbad" / "tests" / "data"
OBJECTS = {  # oid: main_id, ra, dec, otype, label, description, sp_type, morph_type, nbref, ids
    1: ("M  51", 202.4696, 47.1952, "Sy2", "Seyfert 2", "Seyfert 2 Galaxy", "", "SAbc", 3, "M  51|NGC  5194|NAME Whirlpool"),
    2: ("SN 2011dh", 202.5212, 47.1698, "SN*", "SuperNova", "SuperNova", "SNIIb", "", 0, "SN 2011dh"),
    3: ("* alf Lyr", 279.2347, 38.7837, "dS*", "delta Sct", "delta Sct Variable", "A0Va", "", 20_000, "* alf Lyr|HD 172167"),
}
REFERENCES = [(1, "1999A", 1999, "The <b>Whirlpool</b>"), (1, "2011B", 2011, "A supernova in M 51"), (1, "1850R", 1850, "Observations of nebulae")]


def objects(rows):
    """(target_row, oid) pairs as the answer to the first query."""
    columns = list(zip(*[(row, *OBJECTS[oid][:3], *OBJECTS[oid][3:], oid) for row, oid in rows], strict=True)) or [[]] * 12
    names = ("target_row", "main_id", "ra", "dec", "otype", "label", "description", "sp_type", "morph_type", "nbref", "ids", "oid")
    table = Table({n: np.array(c, dtype="i4" if n in ("target_row", "nbref") else "i8" if n == "oid" else "f8" if n in ("ra", "dec") else "U80")
                   for n, c in zip(names, columns, strict=True)})  # fmt: skip
    return votable(table)


def references(oids, most=None):
    rows = [r for r in REFERENCES if r[0] in oids] + [(3, f"20{i:02d}V", 2000 + i, f"Vega {i}") for i in range(2) if 3 in oids]
    table = Table({"oidref": [r[0] for r in rows], "bibcode": [r[1] for r in rows], "year": MaskedColumn([r[2] for r in rows], dtype="i2"), "title": [r[3] for r in rows]})
    return votable(table)


def notes(script):
    """What a script prints (https://simbad.cds.unistra.fr/guide/sim-fscript.htx): the lines that it echoes, notes where the object has some, errors in a section of their own."""
    said = {"M 51": "  (1) The <i>Whirlpool</i>: forms a pair\n      with NGC 5195."}
    lines = script.splitlines()
    assert lines[:2] == ["output console=off script=off", 'format object "%NOTELIST"']
    data = [line.removeprefix("echodata ") if line.startswith("echodata") else said.get(line.removeprefix("query id "), "") for line in lines[2:]]
    return (f"::error:{':' * 70}\n\n[4] Identifier not found : x\n\n::data:{':' * 70}\n\n" + "\n".join(data) + "\n\n").encode()


@pytest.fixture
def server():
    made = Answering()
    made.queries = []

    def answer(asked):
        adql = asked.fields["QUERY"].decode()
        made.queries.append(adql)
        if "has_ref" in adql:
            inside = adql.partition("oidref IN (")[2].partition(")")[0] or adql.partition("oidref = ")[2].split()[0]
            return (200, references([int(n) for n in inside.split(",")]), "application/x-votable+xml")
        upload = parse_single_table(io.BytesIO(asked.fields["targets"])).to_table()
        if "typed_id" in upload.colnames:
            rows = [(int(r["target_row"]), oid) for r in upload for oid, one in OBJECTS.items() if str(r["typed_id"]).replace(" ", "") == one[0].replace(" ", "")]
        else:
            rows = [(int(r["target_row"]), oid) for r in upload for oid, one in OBJECTS.items() if abs(r["dec"] - one[2]) < 0.1 and abs(r["ra"] - one[1]) < 0.1]
        return (made.overflow(rows) if hasattr(made, "overflow") else (200, objects(rows), "application/x-votable+xml"))

    made.routes["/sync"] = answer
    made.routes["/sim-script"] = lambda asked: (200, notes(asked.fields["script"].decode()), "text/plain")
    yield made
    made.close()


def ask(server, targets, **wanted):
    survey = replace(simbad.TEXT, url=server.url, mirrors=(), timeout=5.0)
    raws = list(survey.query(targets, Ask(**wanted)))
    assert sorted(i for raw in raws for i in raw.target_ids) == sorted(targets.ids)
    return raws, {k: v for raw in raws for k, v in survey.read(raw)}


TARGETS = Targets([Target("near M 51", 202.4700, 47.1952), Target("empty", 10.0, -60.0), Target("M51", identifier="M51"), Target("HD 1", identifier="HD 1")])


def test_positions_and_names_in_one_answer(server):
    raws, texts = ask(server, TARGETS, radius=3.0)
    assert len(raws) == 1 and len(server.queries) == 3  # by position, by name, and the references of all
    assert list(texts) == ["near M 51", "M51"]
    text = texts["near M 51"].text
    assert text.startswith("M 51. Object type: Seyfert 2 (Sy2), Seyfert 2 Galaxy.".replace("M 51", "M  51"))
    assert "Morphological type: SAbc." in text and "Identifiers: M 51; NGC 5194; NAME Whirlpool." in text
    assert "arcsec from the position asked for." in text and "the nearest of" not in text  # the supernova lies beyond the radius
    assert text.splitlines()[-4:] == ["References (3 of 3, newest first):", "2011B: A supernova in M 51", "1999A: The Whirlpool", "1850R: Observations of nebulae"]
    assert "arcsec" not in texts["M51"].text and "TAP_UPLOAD.targets" in texts["M51"].provenance.query
    assert "may say what the object is" in texts["M51"].provenance.release  # a label may be in the text, and it says so


def test_the_nearest_is_described_and_the_others_counted(server):
    _, texts = ask(server, Targets([Target("a", 202.5212, 47.1699)]), radius=400.0)
    assert texts["a"].text.startswith("SN 2011dh. Object type: SuperNova (SN*).\nSpectral type: SNIIb.") and "the nearest of 2 objects" in texts["a"].text


def test_objects_with_very_many_papers_are_asked_for_alone_and_it_is_said(server):
    _, texts = ask(server, Targets([Target("Vega", 279.2347, 38.7837), Target("M51", identifier="M51")]))
    assert any(q.startswith("SELECT TOP 20 h.oidref") and "h.oidref = 3" in q for q in server.queries)
    assert "References (2 of 20000, newest first):\n2001V" in texts["Vega"].text


def test_references_can_be_left_out(server):
    _, texts = ask(server, TARGETS, options={"references": 0})
    assert len(server.queries) == 2 and "References" not in texts["M51"].text


def test_a_cut_answer_is_asked_for_in_halves(server):
    whole = server.routes["/sync"]
    server.overflow = lambda rows: (200, objects(rows).replace(b'value="OK"', b'value="OVERFLOW"') if len(rows) > 1 else objects(rows), "application/x-votable+xml")
    raws, texts = ask(server, Targets([Target("M51", identifier="M51"), Target("b", 279.2347, 38.7837), Target("c", 279.2347, 38.7837)]))
    assert whole is server.routes["/sync"] and len(raws) >= 2 and set(texts) == {"M51", "b", "c"}
    server.overflow = lambda rows: (200, objects(rows).replace(b'value="OK"', b'value="OVERFLOW"'), "application/x-votable+xml")
    with pytest.raises(ArchiveError, match="smaller radius"):
        ask(server, Targets([Target("b", 279.2347, 38.7837)]))


def test_errors_in_simbads_own_words_and_rows_that_were_not_asked_for(server):
    server.routes["/sync"] = (400, b'<VOTABLE><RESOURCE type="results"><INFO name="QUERY_STATUS" value="ERROR">Unknown table "basics"</INFO></RESOURCE></VOTABLE>', "text/xml")
    with pytest.raises(ArchiveError, match=r'simbad/text.*Unknown table "basics"'):
        ask(server, TARGETS)
    content = objects([(7, 1)])
    with pytest.raises(ArchiveError, match="row 7 of 1"):
        list(simbad.TEXT.read(Raw("simbad/text", ("a",), content, "", extra={"ra": [None], "dec": [None], "radius": 3.0, "objects": 1, "lengths": [len(content)]})))


def test_columns_and_links_are_simbads_recorded_answer():
    path = DATA / "simbad_basic_columns.xml"
    if not path.is_file():
        pytest.skip("this astroquery was installed without its test data")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = {str(r["column_name"]): str(r["unit"]) for r in parse_single_table(str(path)).to_table()}
        links = {(str(r["from_table"]), str(r["from_column"])) for r in parse_single_table(str(DATA / "simbad_linked_to_basic.xml")).to_table()}
    for name, (unit, _) in simbad.COLUMNS.items():
        assert name in columns
        assert columns[name].strip() == {"mas / yr": "mas.yr-1", "km / s": "km.s-1"}.get(unit, unit), name
    assert {("ids", "oidref"), ("ident", "oidref"), ("has_ref", "oidref"), ("otypedef", "otype")} <= links


def test_what_simbad_says_an_object_is_is_a_target_and_no_input():
    roles = simbad.TABLE.roles
    assert all(roles[n] == "target" for n in ("otype", "otype_txt", "sp_type", "morph_type", "rvz_redshift")) and roles["main_id"] == "id" and roles["ra"] == "other"


@pytest.mark.remote
def test_the_real_simbad():
    survey = simbad.TEXT
    targets = Targets([Target("M51", identifier="M51"), Target("Vega", 279.23473479, 38.78368896)])
    texts = {k: v for raw in survey.query(targets, Ask()) for k, v in survey.read(raw)}
    assert "NGC 5194" in texts["M51"].text and "alf Lyr" in texts["Vega"].text and "References (20 of" in texts["Vega"].text
    assert [k for raw in simbad.TABLE.query(targets[1:], Ask()) for k, _ in simbad.TABLE.read(raw)] == ["Vega"]


def test_notes_by_script_documented_format(server):
    raws, texts = ask(server, TARGETS, options={"references": 0})
    script = server.asked[-1].fields["script"].decode().splitlines()
    assert script[2:] == ["echodata astrofuse object 1", "query id M 51", "echodata astrofuse object -1"] and raws[0].extra["notes"] is True
    assert texts["M51"].text.splitlines()[-2:] == ["Notes: (1) The Whirlpool: forms a pair", "with NGC 5195."]
    _, texts = ask(server, Targets([Target("a", 202.5212, 47.1699)]), options={"references": 0})
    assert "Notes" not in texts["a"].text  # SIMBAD has none
    asked = len(server.asked)
    assert "Notes" not in ask(server, TARGETS, options={"references": 0, "notes": False})[1]["M51"].text and len(server.asked) == asked + 2


def test_notes_that_were_cut_are_refused(server):
    server.routes["/sim-script"] = lambda made: (200, notes(made.fields["script"].decode())[:-10], "text/plain")
    with pytest.raises(ArchiveError, match=r"simbad/text.*no complete list of notes") as caught:
        ask(server, TARGETS)
    assert caught.value.unreadable
