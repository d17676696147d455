"""Take the pictures of the README and of the gallery again, from the practice sky, in headless Chromium.

    python docs/pictures.py [--only NAME] [--lab]

Everything shown is simulated and free of any licence. Views are opened as the pages that they save; ``--lab`` also takes the README's picture, in a real JupyterLab.
A picture holds at most 256 colours, so that the repository stays small.
"""

import argparse
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import Lab, chromium, command, open_lab, run_all  # noqa: E402

GALLERY = ROOT / "docs" / "gallery"
N, EPOCHS, STORED = 400, 9, 12
Do = Callable[[Any], object]


@dataclass(frozen=True)
class Picture:
    """One picture: which view, in which light, after which gestures.

    Attributes
    ----------
    view : str
        What to draw of the page: a view's name, or "" for all of it.
    says : str
        Caption, and what a screen reader says.
    size : tuple of int
        Screen pixels.
    do : callable, optional
        Called with the page before the picture is taken.
    """

    view: str
    says: str
    dark: bool = False
    size: tuple[int, int] = (1280, 860)
    do: Do | None = None


def lasso(page: Any) -> None:
    """Draw around a part of the map, then look at one of the samples caught."""
    canvas = page.locator(".view.embedding canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    places = [(0.08, 0.1), (0.5, 0.05), (0.55, 0.55), (0.3, 0.7), (0.08, 0.1)]
    page.mouse.move(box["x"] + places[0][0] * box["width"], box["y"] + places[0][1] * box["height"])
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
    page.mouse.up()
    page.mouse.move(5, 5)


PICTURES = {
    "map-light": Picture("embedding", "The map: each point a fused object, a lasso around some of them, and what they are", do=lasso),
    "map-dark": Picture("embedding", "The same map on dark", dark=True, do=lasso),
    "samples-light": Picture("samples", "Samples: every kind of data of one object on its own axes; what is missing says so", size=(1280, 1100)),
    "attribution-light": Picture("attribution", "Why this prediction: pixels, wavelengths, epochs, columns and words that it rests on, on one colour scale", size=(1280, 1100)),
    "attention-dark": Picture("attention", "Attention: which kind of data looked at which, and where", dark=True, size=(1280, 1000)),
    "contribution-light": Picture("contribution", "Worth of each modality: exact Shapley values, for one object and for many", size=(1280, 1000)),
    "evaluation-light": Picture("evaluation", "Right and wrong: confusion, reliability and errors, each with its interval; a click selects", size=(1280, 1000)),
    "evaluation-dark": Picture("evaluation", "Right and wrong on dark", dark=True, size=(1280, 1000)),
    "explorer-light": Picture("", "All of it in one saved page, linked by one selection, without Python and without a network", size=(1920, 1200)),
}  # fmt: skip


def pages(folder: Path) -> dict[str, Path]:
    """One page for each view, and one of all, from one run on the practice sky."""
    import astrofuse_lab as af

    samples = af.load_samples("practice", n=N, seed=1, progress=False)
    run = af.train("joint_attention", samples, target="label", epochs=EPOCHS, seed=1, progress=False)
    selection = af.Selection()
    shown = {
        "embedding": af.EmbeddingWidget(run, samples, selection), "samples": af.SamplesWidget(samples, selection), "attribution": af.AttributionWidget(run, samples, selection),
        "attention": af.AttentionWidget(run, samples, selection), "contribution": af.ContributionWidget(run, samples, selection), "evaluation": af.EvaluationWidget(run, samples, selection),
    }  # fmt: skip
    selection.focus = str(samples.object_ids[whole_of(samples)])
    made = {name: widget.save(folder / f"{name}.html", stored=STORED) for name, widget in shown.items()}
    made[""] = shown["embedding"].save(folder / "all.html", beside=[shown["attribution"], shown["attention"], shown["evaluation"]], stored=STORED, title="Practice sky, fused")
    for widget in shown.values():
        widget.close()
    return made


def whole_of(samples: Any) -> int:
    """The first object with every kind of data."""
    return next(i for i in range(len(samples)) if all(part is not None for part in samples[i].modalities.values()))


def small(content: bytes) -> bytes:
    """The same picture with at most 256 colours; settled by k-means, without which those of few pixels, as a legend's dots, are merged."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def take(made: dict[str, Path], name: str, picture: Picture) -> None:
    """Open a page and write its picture."""
    with chromium(*picture.size, dark=picture.dark) as browser:
        page = browser.page()
        page.goto(made[picture.view].as_uri())
        page.wait_for_selector("body[data-ready]")
        page.wait_for_timeout(1500)  # drawings fade in
        if picture.do is not None:
            picture.do(page)
            page.wait_for_timeout(800)
        shot = page.locator(f".view.{picture.view}").first.screenshot() if picture.view else page.screenshot()
        if browser.errors or browser.foreign:
            raise SystemExit(f"{name}: {browser.errors + browser.foreign}")
    (GALLERY / f"{name}.png").write_bytes(small(shot))
    print(f"docs/gallery/{name}.png")


def lab_picture() -> None:
    """The README's: notebook 01 in JupyterLab, with its map and a lasso."""
    with tempfile.TemporaryDirectory() as folder, Lab(Path(folder)) as lab, chromium(1440, 900) as browser:
        name = "01_first_fusion.ipynb"
        (lab.root / name).write_bytes((ROOT / "notebooks" / name).read_bytes())
        page = browser.page()
        open_lab(page, lab, name)
        run_all(page, 600)
        command(page, "application:toggle-left-area")
        region = page.get_by_role("region", name="AstroFuse: Embedding").first
        for _ in range(3):  # cells above it take their heights only when they are near
            region.scroll_into_view_if_needed()
            page.wait_for_timeout(1500)
        box = region.locator("canvas.af-map").first.bounding_box()
        for k, (x, y) in enumerate([(0.1, 0.1), (0.55, 0.1), (0.5, 0.6), (0.1, 0.5), (0.1, 0.1)]):
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            if k == 0:
                page.mouse.down()
        page.mouse.up()
        page.wait_for_timeout(1500)
        (ROOT / "docs" / "images" / "first_fusion.png").write_bytes(small(page.screenshot()))
        print("docs/images/first_fusion.png")


def gallery_page() -> str:
    """The page that shows them."""
    lines = ["# Gallery", "", "Views on the practice sky (simulated), taken by `python docs/pictures.py`. Each can be saved as such a page: `widget.save(\"page.html\")`.", ""]
    for name, picture in PICTURES.items():
        lines += [f"## {picture.says.split(':')[0]}", "", f"![{picture.says} (practice sky, simulated)](gallery/{name}.png)", "", picture.says + ".", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=sorted(PICTURES), action="append")
    parser.add_argument("--lab", action="store_true")
    given = parser.parse_args()
    GALLERY.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        ready = pages(Path(scratch))
        for one in given.only or PICTURES:
            take(ready, one, PICTURES[one])
    (ROOT / "docs" / "gallery.md").write_text(gallery_page(), encoding="utf-8")
    if given.lab:
        lab_picture()
