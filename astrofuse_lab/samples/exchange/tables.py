"""VOTable and ECSV: the scalar columns with units, roles and card; modalities are not kept.

Sources: VOTable 1.4 (https://www.ivoa.net/documents/VOTable/), an INFO element carries the description; ECSV 1.0 (APE6), its ``meta`` does.
Columns of somebody else's table that hold arrays are left out.
"""

import io
from pathlib import Path

import numpy as np

from astrofuse_lab.errors import ArchiveError, SampleSetError
from astrofuse_lab.samples.exchange.described import KEY, from_table, made, read_described, table_of
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.surveys import formats


def read(path: Path) -> SampleSet:
    """Either of the two, by its content."""
    from astropy.table import Table

    files.exists(path)
    content = path.read_bytes()
    text = None
    if content.lstrip()[:1] == b"<":
        try:
            table = formats.votable(content, path.name)
        except ArchiveError as error:
            raise SampleSetError(f"{path} cannot be read as VOTable ({error}). {files.AGAIN}") from error
        text = _info(content)
    else:
        if not content.startswith(b"# %ECSV"):
            raise SampleSetError(f"{path} is no ECSV: it does not begin with '# %ECSV'.")
        with files.reading(path, "ECSV"):
            table = Table.read(content.decode("utf-8").splitlines(), format="ascii.ecsv")
        text = table.meta.get(KEY)
    with files.reading(path, "a table"):
        columns, units, _ = from_table(table, path)
    said = read_described(text, path)
    if said is not None:
        return made(columns, {}, said._replace(modalities={}, axes={}), path, path.stem)
    samples = made(columns, {}, None, path, path.stem)
    return SampleSet(samples._columns, {}, {}, {n: u for n, u in units.items() if n in samples.roles}, samples.card)


def _info(content: bytes) -> str | None:
    """The description in the INFO element that we write."""
    from astropy.io import votable

    for info in votable.parse(io.BytesIO(content), verify="ignore").infos:
        if info.name == KEY:
            return str(info.value)
    return None


def write(samples: SampleSet, path: Path) -> None:
    """By the ending: ``.ecsv``, else VOTable."""
    table = table_of(samples)
    if path.name.lower().endswith(".ecsv"):
        for name in table.colnames:
            if table[name].dtype.kind == "U" and np.ma.getmaskarray(table[name]).any():
                table[name].fill_value = ""
        table.write(path, format="ascii.ecsv")
        return
    from astropy.io import votable
    from astropy.io.votable.tree import Info

    text = table.meta.pop(KEY)
    document = votable.from_table(table)
    document.infos.append(Info(name=KEY, value=text))
    document.to_xml(str(path))
