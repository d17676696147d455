"""SCoPe at full scale: what it costs to measure light curves by the hundred million, from at least 20,000 real ones of five surveys.

One band of one object is one light curve, of 5 usable epochs or more; features (period by Lomb-Scargle, 0.1 to 500 days) and a DMDT image of each, chunk by chunk,
through the writer that goes on after a crash. A full run leaves its set and its log in the cache, and is not made again while they are there. One process, one thread;
seconds of the processor are what is extrapolated, since others use this machine too.
"""

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from systems_parts import Number

import astrofuse_lab as af
from astrofuse_lab.models.build import build
from astrofuse_lab.models.tokens import InputLayout
from astrofuse_lab.recipes.taxonomies import TAXONOMIES
from astrofuse_lab.recipes.variable_taxonomies import VIEWS
from astrofuse_lab.samples.views import measure_curves, one_band_each
from astrofuse_lab.storage import cache_root, write_json

SETS = ("crts-variables", "ztf-sources", "eros1-variables", "supernovae", "ztf-alerts")
QUICK_OBJECTS, NESTED, QUICK_NESTED = 60, 120, 24
PUBLISHED = 209_991_147
HOUR, GB, MB = 3600.0, 1e9, 1e6


def counted(objects: int | None) -> dict[str, Any]:
    """Measure the curves (of so many objects a set; None: all), and how long and how much memory it took: from the cache where that was done."""
    path = Path(cache_root()) / "benchmarks" / f"scope-full-{objects or 'all'}"
    log = path.with_suffix(".json")
    if log.is_file():
        return dict(json.loads(log.read_text()))
    sets = {name: af.load_samples(name, progress=False) for name in SETS}
    sets = {name: one if objects is None else one.take(np.arange(min(objects, len(one)))) for name, one in sets.items()}
    measure_curves({"warm": sets["crts-variables"].take([0, 1])}, path.with_name("scope-warm"), VIEWS, overwrite=True)  # what is compiled, is now
    process, rows, begin, busy = psutil.Process(), [], time.perf_counter(), time.process_time()

    def watched(work: Any, numbers: Iterable[int]) -> Iterator[int]:
        for number in numbers:
            yield work(number)
            rows.append((process.memory_info().rss, time.perf_counter() - begin, time.process_time() - busy))

    made = measure_curves(sets, path, VIEWS, map=watched, overwrite=True)
    survey, counts = np.unique(made.column("survey").data.astype(str), return_counts=True)
    data = {
        "curves": len(made), "seconds": time.perf_counter() - begin, "busy": time.process_time() - busy, "memory": [row[0] for row in rows],
        "surveys": dict(zip(survey.tolist(), counts.tolist(), strict=True)), "images": int(made.present("dmdt").sum()), "epochs": float(np.ma.median(made.column("epochs"))),
        "periods": int((~np.ma.getmaskarray(made.column("log_period"))).sum()), "bytes": sum(file.stat().st_size for file in path.iterdir()),
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip
    write_json(log, data)
    return data


def measure(quick: bool) -> Iterator[Number]:
    """Counts, throughput, memory, and what 2 x 10^8 would cost."""
    got = counted(QUICK_OBJECTS if quick else None)
    curves, busy = got["curves"], got["busy"]
    surveys = ", ".join(f"{name} {count}" for name, count in got["surveys"].items())
    data = f"{curves} real light curves: {surveys}"
    yield Number("light curves measured", float(curves), n=curves, data=data, published=PUBLISHED, note=f"median {got['epochs']:.0f} epochs; {got['periods']} with a period, {got['images']} with a pair of epochs inside the DMDT edges; counted on {got['date']} in one run of some minutes, from whose log these numbers are made")
    yield Number("light curves a second of one processor", curves / busy, n=curves, data=data, note=f"{curves / got['seconds']:.0f} a second by the clock, on a machine shared with other work")
    memory = np.array(got["memory"]) / MB
    later = memory[len(memory) // 4 :]
    yield Number("peak memory, MB", float(memory.max()), n=len(memory), data=data, note="of the process, torch and compiled code included")
    yield Number("growth of memory over the last three quarters, MB", float(later[-1] - later[0]), n=len(later), data=data, note=f"while {curves * len(later) / len(memory):.0f} curves were measured; pages of files that were read count as well")
    yield Number("extrapolated: processor hours for 209,991,147 curves, Lomb-Scargle", PUBLISHED * busy / curves / HOUR, n=curves, data=data, note="not measured: seconds a curve times their number; ZTF's curves are longer than the median here")
    yield Number("extrapolated: storage for 209,991,147 curves, GB", PUBLISHED * got["bytes"] / curves / GB, n=curves, data=data, note="not measured; float32 images with their masks uncompressed")
    yield from nested(QUICK_NESTED if quick else NESTED)
    for columns, published in ((40, 22_266), (61, 27_642)):
        layouts = {"table": InputLayout("table", tuple(map(str, range(columns))), (columns,)), "dmdt": InputLayout("image", ("any",), (1, 26, 26))}
        yield Number(f"parameters with {columns} features", float(build(af.get_recipe("scope"), layouts, 2, "classification").parameter_count), published=published)
    yield Number("classes that are asked, of both taxonomies", float(sum(len(tree.asked) for tree in TAXONOMIES.values())), published=52)


def nested(count: int) -> Iterator[Number]:
    """The published period search (conditional entropy and Lomb-Scargle, refined by analysis of variance) on some curves of 50 epochs or more."""
    stars = one_band_each(af.load_samples("crts-variables", progress=False), fewest=50)
    stars = stars.take(np.sort(np.random.default_rng(0).permutation(len(stars))[:count]))
    options = {**VIEWS["features"][1].options, "method": "nested"}
    stars.take([0, 1]).represent("light_curve", "features", **options).arrays("light_curve")
    begin = time.process_time()
    stars.represent("light_curve", "features", **options).arrays("light_curve")
    each = (time.process_time() - begin) / count
    data = f"{count} of crts-variables, 50 epochs or more"
    yield Number("seconds of one processor a curve, periods by entropy, Lomb-Scargle and variance", each, n=count, data=data, note="0.1 to 500 days")
    yield Number("extrapolated: processor hours for 209,991,147 curves, all three", PUBLISHED * each / HOUR, n=count, data=data, note="not measured; published periods go down to 5 minutes, about 30 times as many frequencies, on GPUs")
