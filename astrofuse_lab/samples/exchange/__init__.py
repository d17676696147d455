"""Sample sets in other people's formats: `read_samples` and `export`, and one table of what each format keeps.

A file of this package is one format: ``read(path, **options)`` and, where it can be written, ``write(samples, path)``.
"""

import importlib
import os
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from astrofuse_lab.errors import InputError, SampleSetError, StorageError, UnknownNameError
from astrofuse_lab.samples.sample_set import SampleSet
from astrofuse_lab.storage import new_folder, storage_errors

if TYPE_CHECKING:
    from astropy.table import Table

ALL = ("image", "spectrum", "light_curve", "series", "text")


class Format(NamedTuple):
    """One format.

    Attributes
    ----------
    name, title : str
    module : str
        The file of `astrofuse_lab.samples` that reads and writes it.
    reads, writes : bool
    kinds : tuple of str
        The modalities that are written, besides scalar columns.
    loses : str
        What else a set loses there, even where all its modalities are kept; empty: nothing.
    marker : str
        A folder's file that tells it is one; empty for single files.
    endings : tuple of str
        Of files.
    """

    name: str
    title: str
    module: str
    reads: bool = True
    writes: bool = True
    kinds: tuple[str, ...] = ALL
    loses: str = ""
    marker: str = ""
    endings: tuple[str, ...] = ()


FORMATS = {one.name: one for one in (
    Format("astrofuse", "our own folder, as samples.save writes", "exchange.own", marker="manifest.json"),
    Format("parquet", "Parquet with nested columns, as nested-pandas reads and writes", "exchange.parquet", endings=(".parquet", ".parq", ".pq")),
    Format("huggingface", "Hugging Face datasets: a folder of Parquet for load_dataset; reads what save_to_disk writes, too", "exchange.huggingface", marker="README.md"),
    Format("hats", "HATS, for LSDB: Parquet in HEALPix partitions; needs ra and dec", "exchange.hats", loses="the order of the objects (they are sorted by place on the sky)", marker="hats.properties"),
    Format("multimodal-universe", "Multimodal Universe HDF5: healpix=N/*.hdf5; needs ra and dec to be written", "exchange.multimodal_universe",
           loses="the order of the objects (they are sorted by HEALPix cell)", marker="healpix.json", endings=(".hdf5", ".h5", ".hdf")),
    Format("hyrax", "a catalogue (catalog.csv) and one FITS file an object and band, as Hyrax's FitsImageDataset reads", "exchange.hyrax", kinds=("image",),
           loses="roles, units and the card; one image modality only", marker="catalog.csv"),
    Format("fits", "FITS: a binary table of the columns, one extension a field", "exchange.fits_files", endings=(".fits", ".fit", ".fits.gz")),
    Format("votable", "VOTable", "exchange.tables", kinds=(), endings=(".vot", ".votable", ".xml")),
    Format("ecsv", "ECSV", "exchange.tables", kinds=(), endings=(".ecsv",)),
    Format("zarr", "a Zarr group (needs the package zarr)", "exchange.zarr_groups", marker=".zgroup"),
    Format("avro", "alert packets of ZTF and Rubin: a file or a folder", "exchange.avro_alerts", writes=False, endings=(".avro", ".avro.gz")),
    Format("smtd", "SMTD, sunspot magnetic types (Fang et al. 2019)", "readers.smtd", writes=False),
    Format("mpild", "MPILD, magnetic polarity inversion lines (Ji et al. 2023)", "readers.mpild", writes=False),
    Format("rgz-md", "RGZ-MD, radio galaxies with what people wrote of them (Chen et al. 2023)", "readers.rgz_md", writes=False),
    Format("msfpd", "MSFPD, solar flares (Mansouri et al. 2024)", "readers.msfpd", writes=False),
    Format("radiogalaxynet", "RadioGalaxyNET (Gupta et al. 2024)", "readers.radiogalaxynet", writes=False),
)}  # fmt: skip
"""What can be read and written, by name."""
ALSO = {"nested-pandas": "parquet", "lsdb": "hats", "datasets": "huggingface", "mmu": "multimodal-universe", "hdf5": "multimodal-universe"}
"""Other names of formats, of who reads them."""


def list_formats() -> "Table":
    """The formats: name, whether sets are read and written, the modalities kept, what else is lost, title."""
    from astropy.table import Table

    rows = [
        {"name": f.name, "reads": f.reads, "writes": f.writes, "modalities": ", ".join(f.kinds) if f.writes else "", "loses": f.loses, "title": f.title}
        for f in FORMATS.values()
    ]
    return Table(rows=rows)


def read_samples(path: str | Path, format: str | None = None, **options: Any) -> SampleSet:
    """A sample set from a file or folder in any format of `list_formats`.

    Parameters
    ----------
    path : path
    format : str, optional
        None: told by the file's ending, or by what lies in the folder.
    **options
        Of the format, e.g. ``split="train"`` (``huggingface``), ``config="dr10"`` (``multimodal-universe``).

    Returns
    -------
    SampleSet
        In memory; ``save(path)`` keeps it. Sets that this package wrote come back as they were, but for what `list_formats` says is
        lost; in other people's files every column has the role ``other`` unless the format says more.

    Raises
    ------
    SampleSetError
        If the file is damaged, or not of the layout that the format has; file and field are named.
    MissingExtraError
        If the format needs a package that is not installed.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise SampleSetError(f"there is no {path}. Give a file or a folder; af.list_formats() lists what can be read.")
    name = format or _told(path)
    module = importlib.import_module(f"astrofuse_lab.samples.{_format(name).module}")
    try:
        samples: SampleSet = module.read(path, **options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise InputError(f"{name!r} has no such option ({error}). Options: {', '.join(module.read.__annotations__.keys() - {'path', 'return'}) or 'none'}.") from None
    return samples


def export(samples: SampleSet, path: str | Path, format: str | None = None, overwrite: bool = False) -> Path:
    """Write a set in another format, all of it or nothing; warns of what the format cannot keep.

    Raises
    ------
    InputError
        If the format cannot be written, or cannot hold this set.
    StorageError
        If the place is taken or cannot be written.
    """
    path = Path(path).expanduser()
    name = format or _by_ending(path)
    if name is None:
        raise InputError(f"{path.name!r} does not tell the format. Pass format=, one of {', '.join(f.name for f in FORMATS.values() if f.writes)}.")
    chosen = _format(name)
    if not chosen.writes:
        raise InputError(f"{name!r} can be read, not written. Formats to write: {', '.join(f.name for f in FORMATS.values() if f.writes)}.")
    module = importlib.import_module(f"astrofuse_lab.samples.{chosen.module}")
    for loss in lost(samples, chosen):
        warnings.warn(f"{name} does not keep {loss}", UserWarning, stacklevel=3)
    if chosen.marker:
        with new_folder(path, overwrite=overwrite, holds=(chosen.marker,)) as folder:
            module.write(samples, folder)
        return path.resolve()
    if path.exists() and (not overwrite or path.is_dir()):
        raise StorageError(f"{path} already exists. Pass overwrite=True to replace it, or give another path.")
    partial = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    with storage_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            module.write(samples, partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    return path.resolve()


def lost(samples: SampleSet, chosen: Format) -> list[str]:
    """What a format cannot keep of this set."""
    gone = [n for n, s in samples.modalities.items() if n in samples._data and s.kind not in chosen.kinds]
    said = [f"the modalities {', '.join(gone)}"] if gone else []
    return said + ([chosen.loses] if chosen.loses else [])


def _format(name: str) -> Format:
    name = ALSO.get(name, name)
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS, "af.list_formats() lists them.")
    return FORMATS[name]


def _by_ending(path: Path) -> str | None:
    low = path.name.lower()
    return next((f.name for f in FORMATS.values() if low.endswith(f.endings) and f.endings), "zarr" if low.endswith(".zarr") else None)


def _told(path: Path) -> str:
    """The format of a file or folder."""
    if path.is_file():
        name = _by_ending(path)
    else:
        name = next((name for name, there in _signs(path) if there), None)
    if name is None:
        raise InputError(f"{path} does not tell its format. Pass format=, one of {', '.join(f.name for f in FORMATS.values() if f.reads)}.")
    return name


def _signs(path: Path) -> list[tuple[str, bool]]:
    """What tells each format of folder."""

    def has(pattern: str) -> bool:
        return next(path.glob(pattern), None) is not None

    return [
        ("astrofuse", has("manifest.json")), ("zarr", has(".zgroup") or has("zarr.json")), ("hats", has("hats.properties") or has("collection.properties") or has("dataset/Norder=*")),
        ("multimodal-universe", has("healpix=*") or has("*/healpix=*") or has("*/*/healpix=*")), ("radiogalaxynet", has("annotations/train.json")),
        ("huggingface", has("dataset_info.json") or has("*.parquet") or has("data/*.parquet") or has("*/dataset_info.json")), ("hyrax", has("catalog.csv")),
        ("avro", has("*.avro") or has("*.avro.gz")), ("smtd", has("continuum/*") and has("magnetogram/*")),
    ]  # fmt: skip
