"""Check a built site without a network: what is linked inside exists, with its anchor; what a page loads lies beside it; addresses outside are whole."""

import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
"""What a browser fetches of its own accord."""
NAMES = ("canonical", "alternate", "search", "next", "prev", "index", "author", "help")
"""Relations of a link element that name an address and fetch nothing."""


class Page(HTMLParser):
    """Anchors, links and loads of one page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if given.get(name))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in LOADS and LOADS[tag] in given and not (tag == "link" and given.get("rel", "").lower() in NAMES):
            self.loads.append(given[LOADS[tag]])
            if tag == "iframe" and "srcdoc" in given:
                self.loads += Page(given["srcdoc"]).loads
        elif tag == "iframe" and "srcdoc" in given:
            self.loads += Page(given["srcdoc"]).loads


def broken(site: Path) -> list[str]:
    """What is wrong, a line each; empty when all is well."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html")) if "_static" not in path.relative_to(site).parts}  # there lie templates of themes
    out: list[str] = []
    for path, page in pages.items():
        where = path.relative_to(site.resolve())
        for address in page.loads:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme in ("http", "https") or address.startswith("//"):
                out.append(f"{where}: loads {address[:120]} from the network")
            elif parts.scheme != "data" and not _target(path, parts).exists():
                out.append(f"{where}: loads {address[:120]}, which is not there")
        for address in page.links:
            out += [f"{where}: {why}" for why in _wrong(path, address, pages)]
    return sorted(set(out))


def _wrong(path: Path, address: str, pages: dict[Path, Page]) -> list[str]:
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "mailto" or address in ("", "#"):
        return []
    if parts.scheme:
        whole = parts.scheme in ("http", "https") and "." in (parts.hostname or "") and " " not in address
        own = parts.hostname in ("localhost", "127.0.0.1")
        return [] if whole or own else [f"{address[:120]} is no address"]
    target = _target(path, parts)
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return [f"{address[:120]} leads nowhere"]
    anchor = urllib.parse.unquote(parts.fragment)
    known = pages.get(target.resolve())
    return [f"{address[:120]}: no such place on that page"] if anchor and known is not None and anchor not in known.anchors else []


def _target(path: Path, parts: urllib.parse.SplitResult) -> Path:
    return path if not parts.path else path.parent / urllib.parse.unquote(parts.path)
