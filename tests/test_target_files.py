"""Targets from files of every kind: the same targets from each, bad rows by number, and hostile files."""

import bz2
import gzip
import io
import lzma
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

import astrofuse_lab as af
from astrofuse_lab.errors import TargetError
from astrofuse_lab.surveys import formats
from astrofuse_lab.targets import Target

TABLE = Table({"name": ["007", "b"], "ra": [10.5, 20.0], "dec": [-1.25, 2.0], "pmra": [3.5, 0.0], "flux": [[1.0, 2.0], [3.0, 4.0]]}, units={"ra": "deg", "pmra": "mas/yr"})
EXPECTED = [Target("007", 10.5, -1.25, pmra=3.5), Target("b", 20.0, 2.0)]


def written(kind: str) -> bytes:
    table = TABLE["name", "ra", "dec", "pmra"]
    file = io.BytesIO()
    if kind == "fits":
        TABLE.write(file, format="fits")
    elif kind == "fits-ascii":
        columns = [fits.Column(n, "A5" if n == "name" else "D20.5", array=list(table[n])) for n in table.colnames]
        fits.HDUList([fits.PrimaryHDU(), fits.TableHDU.from_columns(columns)]).writeto(file)
    elif kind.startswith("votable"):
        TABLE.write(file, format="votable", tabledata_format=kind.partition("-")[2] or "tabledata")
    elif kind == "parquet":
        pq.write_table(pa.table({n: list(table[n]) for n in table.colnames}), file)
    elif kind == "pandas":
        table.to_pandas().to_parquet(file)
    elif kind == "ecsv":
        text = io.StringIO()
        TABLE.write(text, format="ascii.ecsv")
        return text.getvalue().encode()
    else:
        gap = {"csv": ",", "tabs": "\t", "semicolons": ";", "bars": "|", "blanks": "   "}[kind]
        return "".join(gap.join(map(str, row)) + "\n" for row in (table.colnames, *table.iterrows())).encode()
    return file.getvalue()


KINDS = ("fits", "fits-ascii", "votable", "votable-binary", "votable-binary2", "parquet", "pandas", "ecsv", "csv", "tabs", "semicolons", "bars", "blanks")
PACKED = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_same_targets(kind, tmp_path):
    path = tmp_path / f"list.{kind}"
    path.write_bytes(written(kind))
    assert list(af.Targets.from_file(path)) == EXPECTED
    assert list(af.Targets.from_file(str(path), ra="ra", dec="dec", id="name")) == EXPECTED


@pytest.mark.parametrize("kind", ["fits", "votable", "csv", "ecsv"])
@pytest.mark.parametrize("suffix", PACKED)
def test_packed_files_bytes_and_open_files(kind, suffix, tmp_path):
    content = PACKED[suffix](written(kind))
    assert list(af.Targets.from_file(content)) == EXPECTED and list(af.Targets.from_file(io.BytesIO(content))) == EXPECTED


def test_a_recorded_votable_of_vizier():
    """As astropy holds it, in its own test data."""
    import astropy.io.votable.tests as tests

    path = Path(tests.__file__).parent / "data" / "vizier_b2_votable.xml"
    if not path.exists():
        pytest.skip(f"astropy came without {path.name}")
    targets = af.Targets.from_file(path, errors="skip")
    assert len(targets) and np.isfinite(targets.ra).all()


def test_a_csv_as_people_make_them():
    text = "\ufeff# exported\r\n\"Name\", RA ,DEC,note\r\n\"a, b\",10:00:24,+02:12:00,\"x\"\r\n\r\n007,150.2,2.2,\r\n"
    targets = af.Targets.from_file(text.encode())
    assert targets.ids == ("a, b", "007") and targets.ra == pytest.approx([150.1, 150.2])


def test_columns_with_names_of_their_own():
    content = b"who,x,y,when\n1,10,20,2000\n2,11,21,1991.25\n"
    targets = af.Targets.from_file(content, id="who", ra="x", dec="y", epoch="when", time=(1.0, 2.0))
    assert list(targets) == [Target("1", 10, 20, 2000, time=(1.0, 2.0)), Target("2", 11, 21, 1991.25, time=(1.0, 2.0))]
    with pytest.raises(TargetError, match="no column for epoch"):
        af.Targets.from_file(written("fits"), epoch="when")


BAD = b"id,ra,dec\na,1,2\nb,3\n# said\nc,400,4\nd,5,6,7\na,9,9\ne,,1\nf,1.0001,2\n"


def test_bad_rows_of_a_csv_by_number_and_value():
    targets = af.Targets.from_file(BAD, errors="skip")
    words = "\n".join(targets.notes)
    assert targets.ids == ("a", "f")
    for part in ("row 1: 2 cells, the header has 3 ('b,3')", "row 2 ('c'): RA 400.0", "row 3: 4 cells", "row 4: the id 'a' was already given in row 0", "row 5 ('e')", "row 6: 'f' lies 0.36 arcsec from 'a' (row 0)"):
        assert part in words, (part, words)
    with pytest.raises(TargetError, match=r"list.csv: row 1: 2 cells.*errors='skip'"):
        file = io.BytesIO(BAD)
        file.name = "/somewhere/list.csv"
        af.Targets.from_file(file)


def test_text_without_a_header_is_read_as_lines():
    assert af.Targets.from_file(b"practice-00000042\n10 20\n").ids == ("practice-00000042", "target-00001")
    assert af.Targets.from_file(b"10,20\n11,21\n", frame="galactic").ids == ("target-00000", "target-00001")


def test_masked_integers_of_fits_are_missing():
    columns = [fits.Column("id", "K", array=[1, 2]), fits.Column("RA", "D", array=[1.0, 2.0]), fits.Column("DEC", "D", array=[0.0, 0.0]), fits.Column("pmra", "J", null=-99, array=[-99, 5])]
    file = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(file)
    assert [t.pmra for t in af.Targets.from_file(file.getvalue())] == [0.0, 5.0]


def test_only_the_columns_in_use_are_read(monkeypatch):
    """A list of bytes of any size beside the positions costs nothing."""
    file = io.BytesIO()
    pq.write_table(pa.table({"ra": [1.0], "dec": [2.0], "blob": [b"x" * 1000]}), file)
    asked = []
    whole = pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda self, columns, **more: asked.append(columns) or whole(self, columns=columns, **more))
    assert len(af.Targets.from_file(file.getvalue())) == 1 and asked == [["ra", "dec"]]


def test_a_hundred_thousand_rows(tmp_path):
    n = 100_000
    frame = pd.DataFrame({"source_id": np.arange(n) + 4_472_832_130_942_575_872, "ra": np.linspace(0, 359.9, n), "dec": np.linspace(-89, 89, n)})
    frame.to_csv(tmp_path / "list.csv", index=False)
    frame.to_parquet(tmp_path / "list.parquet")
    one, other = (af.Targets.from_file(tmp_path / f"list.{kind}") for kind in ("csv", "parquet"))
    assert one.ids == other.ids and one.ids[-1] == "4472832130942675871" and np.array_equal(one.ra, other.ra) and len(one) == n


# hostile -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "one a line"), (b"\x00\x01\x02,\x00", "zero bytes|UTF-8"), (b"\xff\xfe\xfa", "UTF-8"), (b"<html>login</html>", "no VOTable"), (b"PAR1 cut", "Parquet"),
        (b"SIMPLE  =   T cut", "FITS"), (b"ra,ra,dec\n1,2,3\n", "twice"), (b"a,b\nc,d\n", "lines are no targets|cannot be reached"), (b"name,flux\nx,1\n", "no targets|cannot be reached|reached"),
        (gzip.compress(written("csv"), mtime=0)[:-9], "cut short"), (written("votable").replace(b"</TD>", b"", 1), "VOTable"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_targets(content, words):
    with pytest.raises((TargetError, af.errors.ArchiveError), match=words):
        af.Targets.from_file(content)


def test_missing_files_and_things_that_are_none(tmp_path):
    with pytest.raises(TargetError, match="No such file"):
        af.Targets.from_file(tmp_path / "none.csv")
    with pytest.raises(TargetError, match="cannot be read"):
        af.Targets.from_file(tmp_path)
    with pytest.raises(TargetError, match="is no file"):
        af.Targets.from_file(3.5)
    with pytest.raises(TargetError, match="from_file"):
        af.Targets.from_table(tmp_path / "none.csv")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused(pack, monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", 1024**2)
    monkeypatch.setattr(formats.unpacked, "__defaults__", (None, 1024**2))
    with pytest.raises(TargetError, match="unpacks to more"):
        af.Targets.from_file(pack(b"0" * (3 * 1024**2)))
    with pytest.raises(TargetError, match="larger than 1 MB"):
        af.Targets.from_file(b"0" * (2 * 1024**2))


def test_a_parquet_file_that_unpacks_to_too_much(monkeypatch):
    file = io.BytesIO()
    pq.write_table(pa.table({"ra": np.zeros(200_000), "dec": np.zeros(200_000)}), file, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(formats, "LARGEST", 1024**2)
    with pytest.raises(TargetError, match="unpacked"):
        af.Targets.from_file(file.getvalue())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_votable_does_not_send_its_reader_to_another_file(encoding, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\x00" * 80)
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="ra" datatype="double"/><FIELD name="dec" datatype="double"/>'
        f'<DATA><BINARY><STREAM expires="&gt;" href="file://{secret}"/></BINARY></DATA></TABLE></RESOURCE></VOTABLE>'
    )
    with pytest.raises(TargetError, match=r"elsewhere|UTF-8|no VOTable"):
        af.Targets.from_file(text.encode(encoding))
    with pytest.raises(af.errors.ArchiveError, match="elsewhere"):
        formats.votable(text.encode(encoding), "x")
    with pytest.raises(af.errors.ArchiveError, match="entities"):
        formats.votable(b'<!DOCTYPE x [<!ENTITY a "&#104;ref">]>' + text.encode(), "x")


@pytest.mark.filterwarnings("ignore")  # of astropy, at length, on each
@pytest.mark.parametrize("kind", ["fits", "votable", "parquet", "ecsv", "csv"])
def test_damaged_files_are_an_error_or_targets(kind, monkeypatch):
    monkeypatch.setattr("astrofuse_lab.naming._resolve", lambda name: "not known")
    whole, rng = written(kind), random.Random(kind)
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(rng.randint(1, 12)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.3:
            del content[rng.randrange(len(content)) :]
        try:
            targets = af.Targets.from_file(bytes(content), errors=rng.choice(["raise", "skip"]))
        except TargetError as error:
            assert len(str(error)) < 1500
        else:
            assert np.all((targets.dec >= -90) & (targets.dec <= 90)) and len(targets) <= 60
