"""Alerts of the Zwicky Transient Facility: stamps, 30-day history and packet fields (Bellm et al. 2019, Masci et al. 2019, Patterson et al. 2019).

Which packet fields a model may see is decided here, by name; a column that is not listed is never an input.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from astrofuse_lab.errors import SampleSetError
from astrofuse_lab.provenance import Provenance
from astrofuse_lab.samples.readers import files
from astrofuse_lab.samples.sample_set import ModalityData, SampleSet
from astrofuse_lab.samples.specification import Card, ModalitySpec

ALERTS, CUTOUTS, LIGHT_CURVES = "ztf_alerts.parquet", "ztf_cutouts.h5", "ztf_lightcurves.parquet"
FILES = (ALERTS, CUTOUTS, LIGHT_CURVES)
VERSION = files.version(__file__)
"""Of this reader: another reader would make another set of the same files, and no stale one must be opened."""

STAMPS, SIDE, SCALE = ("science", "reference", "difference"), 63, 1.01
BANDS = ("g", "r", "i")
SENTINEL = -999
MOST_ALERTS, MOST_EPOCHS, MOST_BYTES = 200_000, 50_000_000, 4 * 1024**3
"""Limits on what a file may claim to hold; they hold whether or not checksums are compared."""

MEASURED = (
    "fid", "diffmaglim", "isdiffpos", "magpsf", "sigmapsf", "chipsf", "magap", "sigmagap", "sky", "magdiff", "fwhm", "classtar", "mindtoedge",
    "magfromlim", "seeratio", "aimage", "bimage", "aimagerat", "bimagerat", "elong", "nneg", "nbad", "rb", "drb", "sumrat", "magapbig",
    "sigmagapbig", "scorr", "dsnrms", "dsdiff",
)  # fmt: skip
CATALOGUED = (
    "distnr", "magnr", "sigmagnr", "chinr", "sharpnr", "nmtchps", "neargaia", "neargaiabright", "maggaia", "maggaiabright",
    *(f"{name}{i}" for i in (1, 2, 3) for name in ("sgmag", "srmag", "simag", "szmag", "sgscore", "distpsnr")),
)  # fmt: skip
HISTORY = ("ndethist", "ncovhist")
INPUTS = tuple(f"c_{name}" for name in (*MEASURED, *CATALOGUED, *HISTORY))
"""Fields of the candidate record that a model may see, besides `history_days`.

Left out: every ``c_ss...`` (solar-system match; `c_ssnrms` only shares the letters, but the rule is kept simple); positions and times (they tell the night, hence the source of the file), identifiers, detector
position, and the photometric calibration of the exposure, which is the same for all alerts of one exposure.
"""
TARGETS = ("label", "is_sso", "sn_subtype", "redshift")
UNITS = {
    "deg": ("ra", "dec", "c_ra", "c_dec", "c_ranr", "c_decnr"),
    "d": ("c_jd", "c_jdstarthist", "c_jdendhist", "c_jdstartref", "c_jdendref", "time", "history_days"),
    "arcsec": ("c_distnr", "c_distpsnr1", "c_distpsnr2", "c_distpsnr3", "c_neargaia", "c_neargaiabright", "c_ssdistnr"),
    "pix": ("c_fwhm", "c_xpos", "c_ypos", "c_mindtoedge", "c_aimage", "c_bimage"),
    "s": ("c_exptime",),
    "mag": tuple(
        f"c_{name}" for name in (
            "magpsf", "sigmapsf", "diffmaglim", "magap", "sigmagap", "magnr", "sigmagnr", "magdiff", "magfromlim", "magapbig", "sigmagapbig",
            "maggaia", "maggaiabright", "magzpsci", "ssmagnr", *(f"s{b}mag{i}" for b in "griz" for i in (1, 2, 3)),
        )
    ),
}  # fmt: skip

CITATION = (
    "ZTF: Bellm et al. 2019, PASP 131, 018002; Masci et al. 2019, PASP 131, 018003; alert packets: Patterson et al. 2019, PASP 131, 018001; "
    "Fink: Moller et al. 2021, MNRAS 501, 3272; drb: Duev et al. 2019, MNRAS 489, 3582; star/galaxy score: Tachibana & Miller 2018, PASP 130, 128001; "
    "SIMBAD: Wenger et al. 2000. Based on observations obtained with the Samuel Oschin Telescope 48-inch and the 60-inch Telescope at the Palomar "
    "Observatory as part of the Zwicky Transient Facility project; ZTF is supported by the National Science Foundation."
)
LICENCE = "Apache-2.0, BSD-3-Clause and MIT repositories (column src_licence, per row); public ZTF survey, programid 1"
NOTES = (
    "is_sso is label == 'SSO' over all rows: alerts without a label count as False, though some may be asteroids unknown to the Minor Planet Center.",
    "The SSO label is the match to Minor Planet Center ephemerides (position and time). c_ssdistnr, c_ssmagnr and c_ssnamenr are that match, so they are never inputs.",
    "Split on 'group': one object (or asteroid) has several alerts.",
    "Alerts come from test files of 14 public repositories (src_repo, src_path), which differ in class mix and date: pooled scores partly measure the source. "
    "Quote results within one source, or trained on one and tested on another.",
    "Fields that a packet's schema version lacks (c_dsnrms, c_neargaia, c_drb, ...) are masked; which are masked tells the version, hence roughly the date.",
    "History counters (c_ndethist, c_ncovhist, history_days) are legitimate but very strong: an asteroid is seen once at one place. "
    "history_days stands for c_jdstarthist, which, as a date, tells the source.",
    "Catalogue columns are circular for weak_ps1_counterpart, which is computed from c_sgscore1 and c_distpsnr1.",
    "rb and drb are machine scores, not human labels.",
    "Difference stamps are stored as in the packet: the source is always positive; c_isdiffpos is its sign. The stamps' orientation on the sky is not in the packet, so they carry no WCS.",
    "Light curves are the flux of the difference image (ZTF minus reference): negative where isdiffpos is false; upper limits have flux 0 and flux_err = 5-sigma limit / 5.",
)


def read(folder: Path) -> SampleSet:
    """Read the alerts, their stamps and histories.

    Parameters
    ----------
    folder : path
        Holds `FILES`; nothing else in it is touched.

    Returns
    -------
    SampleSet
        Modalities ``image`` (science, reference, difference; DN; 63 x 63), ``light_curve`` (bands g, r, i; microjansky) and
        ``table``. One object an alert, ``object_id`` its candid; extra columns `is_sso`, `ra`, `dec` (deg), `time` (MJD) and
        `history_days` (days from the first detection on record to the alert).

    Raises
    ------
    SampleSetError
        If a file is missing, unreadable, does not fit the others, or claims more than the safety limits.
    """
    alerts = _parquet(folder / ALERTS, MOST_ALERTS)
    files.need(folder / ALERTS, alerts, ("candid", "group", "label", "c_jd", "c_ra", "c_dec"))
    candid = files.whole(folder / ALERTS, alerts, "candid")
    for name in {"c_jd", "c_ra", "c_dec", "c_jdstarthist"} & set(alerts.column_names):
        files.number(folder / ALERTS, alerts, name)
    if len(np.unique(candid)) != len(candid):
        raise SampleSetError(f"{folder / ALERTS}: a candid occurs more than once; the file is damaged.")
    data = {"image": _stamps(folder / CUTOUTS, candid), "light_curve": _histories(folder / LIGHT_CURVES, candid)}
    columns = _columns(folder / ALERTS, alerts)
    names = set(columns.column_names)
    roles = {name: "input" for name in (*INPUTS, "history_days") if name in names}
    roles |= {name: "target" for name in TARGETS if name in names} | {"group": "group"}
    roles |= {name: "id" for name in ("candid", "objectId") if name in names}
    units = {name: unit for unit, members in UNITS.items() for name in members if name in names}
    card = Card("ztf-alerts", "ZTF alerts: stamps, difference light curves and packet fields", False, CITATION, LICENCE, NOTES)
    table = ModalitySpec("table", "table", provenance=_provenance(ALERTS))
    return SampleSet(columns, data, roles, units, card, table)


def _provenance(file: str) -> Provenance:
    return Provenance("ztf-alerts", release="public alerts, programid 1", query=file, citation=CITATION, licence=LICENCE)


# ---- columns ------------------------------------------------------------------------------------------------------


def _columns(file: Path, alerts: pa.Table) -> pa.Table:
    """Source columns with their sentinels nulled, and the few that are derived."""
    columns = {"object_id": [str(v) for v in alerts.column("candid").to_pylist()]}
    label = alerts.column("label").fill_null("")
    derived = {
        "ra": alerts.column("c_ra"), "dec": alerts.column("c_dec"), "time": pc.subtract(alerts.column("c_jd"), 2400000.5),
        "is_sso": pc.equal(label, "SSO"),
    }  # fmt: skip
    if "c_jdstarthist" in alerts.column_names:
        # the first detection's date tells the source; its distance from the alert does not
        derived["history_days"] = pc.subtract(alerts.column("c_jd"), alerts.column("c_jdstarthist"))
    for name in alerts.column_names:
        columns[name] = _without_sentinel(file, name, alerts.column(name))
    return pa.table(columns | derived)


def _without_sentinel(file: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.if_else(pc.is_in(column, value_set=pa.array(["", "null"], kind)), pa.scalar(None, kind), column)
    if pa.types.is_boolean(kind):
        return column
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise SampleSetError(f"{file}: column {name!r} holds {kind}, neither number, text nor boolean.")
    # as float64: a narrow integer type cannot hold the sentinel to compare with
    missing = pc.equal(pc.cast(column, pa.float64(), safe=False), SENTINEL)
    return pc.if_else(missing, pa.scalar(None, kind), column) if name.startswith("c_") else column


# ---- files that are read with suspicion ---------------------------------------------------------------------------


def _parquet(file: Path, most: int) -> pa.Table:
    _exists(file)
    try:
        info = pq.read_metadata(file)
        size = sum(info.row_group(i).total_byte_size for i in range(info.num_row_groups))
        if info.num_rows > most or size > MOST_BYTES:
            raise SampleSetError(f"{file} claims {info.num_rows} rows and {size} bytes; at most {most} rows and {MOST_BYTES} bytes are read.")
        return pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise SampleSetError(f"{file} cannot be read as Parquet ({error}). Copy it again from the mirror.") from error


def _exists(file: Path) -> None:
    if not file.is_file():
        raise SampleSetError(f"{file} is missing. The set needs {', '.join(FILES)} in one folder.")


# ---- stamps -------------------------------------------------------------------------------------------------------


def _stamps(file: Path, candid: NDArray[np.int64]) -> ModalityData:
    import h5py

    _exists(file)
    shape = (len(STAMPS), SIDE, SIDE)
    try:
        with h5py.File(file, "r") as h5:
            pixels, ids = (files.plain_dataset(file, h5, name) for name in ("cutouts", "candid"))
            if pixels.ndim != 4 or pixels.shape[1:] != shape or pixels.shape[0] > MOST_ALERTS or pixels.dtype.kind != "f" or ids.shape != pixels.shape[:1]:
                raise SampleSetError(f"{file}: 'cutouts' is {pixels.dtype} {pixels.shape} with {ids.shape} candids; float (n, 3, 63, 63) is expected.")
            if ids.dtype.kind not in "iu":
                raise SampleSetError(f"{file}: 'candid' holds {ids.dtype}; whole numbers are expected.")
            where, has = files.places(np.asarray(ids, dtype=np.int64), candid)
            flux = _read_stamps(pixels, where, has)
    except (OSError, KeyError, RuntimeError) as error:
        raise SampleSetError(f"{file} cannot be read as HDF5 ({error}). Copy it again from the mirror.") from error
    mask = np.isfinite(flux)
    np.copyto(flux, 0.0, where=~mask)
    spec = ModalitySpec("image", "image", STAMPS, shape, "DN", scale=SCALE, oriented=False, provenance=_provenance(CUTOUTS))
    return ModalityData(spec, {"flux": flux, "mask": mask}, has & mask.any(axis=(1, 2, 3)))


def _read_stamps(pixels: Any, where: NDArray[np.int64], has: NDArray[np.bool_], chunk: int = 512) -> NDArray[np.float32]:
    flux = np.full((len(where), *pixels.shape[1:]), np.nan, dtype=np.float32)
    if np.array_equal(where, np.arange(len(pixels))):  # the usual case: same rows, same order
        for begin in range(0, len(where), chunk):
            flux[begin : begin + chunk] = pixels[begin : begin + chunk]
        return flux
    for row in np.flatnonzero(has):
        flux[row] = pixels[where[row]]
    return flux


# ---- light curves -------------------------------------------------------------------------------------------------


def _histories(file: Path, candid: NDArray[np.int64]) -> ModalityData:
    rows = _parquet(file, MOST_EPOCHS)
    files.need(file, rows, ("candid", "jd", "fid", "magpsf", "sigmapsf", "diffmaglim", "isdiffpos", "is_detection"))
    rows = rows.select(["candid", "jd", "fid", "magpsf", "sigmapsf", "diffmaglim", "isdiffpos", "is_detection"])
    owner, has = files.places(candid, files.whole(file, rows, "candid"))
    jd = files.number(file, rows, "jd")
    order = np.lexsort((jd, owner))
    order = order[has[order]]
    values = {name: files.number(file, rows, name)[order] for name in ("magpsf", "sigmapsf", "diffmaglim", "fid")}
    fields = difference_flux(values, *(files.flag(file, rows, name)[order] for name in ("isdiffpos", "is_detection")))
    fields |= {"time": jd[order] - 2400000.5, "offsets": np.concatenate([[0], np.cumsum(np.bincount(owner[order], minlength=len(candid)))]).astype(np.int64)}
    fields["mask"] &= np.isfinite(fields["time"])
    good = np.bincount(owner[order], weights=fields["mask"], minlength=len(candid))
    spec = ModalitySpec("light_curve", "light_curve", BANDS, (), "uJy", clock="UTC", provenance=_provenance(LIGHT_CURVES))
    return ModalityData(spec, fields, good > 0)


def difference_flux(rows: Mapping[str, NDArray[np.float64]], positive: NDArray[np.bool_], detected: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """AB magnitudes of a difference image to signed fluxes.

    Parameters
    ----------
    rows : mapping
        ``magpsf``, ``sigmapsf``, ``diffmaglim`` (5 sigma; AB mag) and ``fid`` (1 g, 2 r, 3 i), each (epoch,).
    positive, detected : bool array, (epoch,)

    Returns
    -------
    dict
        flux and flux_err (microjansky, float32), band (index into `BANDS`), limit, mask. An upper limit has flux 0 and as error
        the one-sigma depth; magnitudes outside 0 to 40 are errors of the pipeline and masked.
    """
    ab = 3631e6  # microjansky at AB magnitude zero
    magnitude = np.where(detected, rows["magpsf"], rows["diffmaglim"])
    fid = np.nan_to_num(rows["fid"], nan=0.0)
    mask = (magnitude > 0) & (magnitude < 40) & np.isin(fid, (1, 2, 3))
    mask &= ~detected | ((rows["sigmapsf"] > 0) & np.isfinite(rows["sigmapsf"]))
    size = ab * 10 ** (-0.4 * np.where(mask, magnitude, 99.0))
    flux = np.where(detected, np.where(positive, size, -size), 0.0)
    error = np.where(detected, size * np.where(mask & detected, rows["sigmapsf"], 0.0) * np.log(10) / 2.5, size / 5)
    return {
        "flux": np.where(mask, flux, 0.0).astype(np.float32), "flux_err": np.where(mask, error, 0.0).astype(np.float32),
        "band": np.clip(fid - 1, 0, 2).astype(np.int8), "limit": ~detected, "mask": mask,
    }  # fmt: skip
