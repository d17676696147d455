"""Texts as people send them to plain words: markup, boilerplate of reports, addresses, odd characters and blanks. Pure; time linear in the length."""

import re
import unicodedata
from html.parser import HTMLParser

from astrofuse_lab.errors import AlignmentError

MOST = 2_000_000
"""Characters of one text; a report has thousands."""
SAME = str.maketrans({
    "\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2012": "-", "\u2010": "-", "\u2011": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"',
    "\u2032": "'", "\u2033": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ", "\u00ad": None, "\u200b": None, "\u200c": None, "\u200d": None,
    "\u2060": None, "\ufeff": None, "\u212b": "\u00c5", "\u2026": "...", "\ufb01": "fi", "\ufb02": "fl", "\ufb00": "ff",
})  # fmt: skip
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
GREEK = dict(zip(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"], "αβγδεζηθκλμνξπρστφχψω", strict=True,
))  # fmt: skip
SIGNS = {"AA": "Å", "pm": "±", "times": "×", "sim": "~", "approx": "~", "odot": "☉", "deg": "°", "degr": "°", "circ": "°", "arcsec": '"', "arcmin": "'", "ge": ">=", "le": "<=", "micron": "µm"}
TEX_SIGN = re.compile(r"\\(" + "|".join(sorted([*GREEK, *SIGNS], key=len, reverse=True)) + r")(?![A-Za-z])")
TEX_COMMAND = re.compile(r"\\[A-Za-z]{1,30}\*?|\\[,;:!% ]")
LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,500}\)")
EMPHASIS = re.compile(r"(\*\*|__|`{1,3})(?=\S)([^*_`\n]{1,300})\1")
HEADING = re.compile(r"^[ \t]{0,3}(?:#{1,6} |> ?|[*+-] (?=\S))", re.MULTILINE)
ADDRESS = re.compile(r"<?\b(?:https?|ftp)://[^\s<>\"]{1,2000}>?|\bwww\.[^\s<>\"]{1,500}|<?\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}>?")
SUBJECT = re.compile(r"^[ \t]*SUBJECT:[ \t]*", re.MULTILINE)
BOILERPLATE = re.compile(
    r"^[ \t]*(?:"
    r"(?:TITLE|NUMBER|DATE|FROM)[ \t]*:.*"  # head of a GCN circular
    r"|\[?\s?(?:GCN OPS NOTE|Previous|Next|Tweet|ADS)\b.*"
    r"|ATel\s?#?\s?\d+;.*|on \d{1,2} \w{3} \d{4}; \d\d:\d\d UT.*|Credential Certification:.*|Password Certification:.*|Subjects:.*|Referred to by ATel.*"
    r"|Distributed as an Instant Email Notice.*"
    r"|.{0,80}\bthis (?:message|report|circular|email)\b.{0,80}\b(?:may|can|should) (?:not )?be (?:cited|quoted|distributed).*"
    r"|.{0,40}\bautomatic(?:ally)?[ -]generated\b.*|.{0,60}\ball rights reserved\b.*|.{0,20}\bunsubscribe\b.*|Copyright\b.*|View this (?:email|circular).*"
    r"|[-=_*~#]{4,}"
    r")[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
"""Lines that say nothing of the object: heads, credits and rulers of GCN circulars, ATels and mail."""


class _Words(HTMLParser):
    """The text of a page, without tags, scripts and styles; blocks end a line."""

    BLOCKS = frozenset(["p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "pre", "hr"])
    HIDDEN = frozenset(("script", "style", "head"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in self.HIDDEN
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden = max(0, self.hidden - (tag in self.HIDDEN))
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def check(text: str) -> None:
    """Raise AlignmentError for what is no text, or too much of it."""
    if not isinstance(text, str):
        raise AlignmentError(f"text is a {type(text).__name__}, not text.")
    if len(text) > MOST:
        raise AlignmentError(f"text has {len(text)} characters; at most {MOST} are read.")


def clean(text: str, *, markup: bool = True, boilerplate: bool = True, addresses: bool = True, unicode: bool = True) -> str:
    """A text as plain words.

    Parameters
    ----------
    text : str
    markup : bool
        HTML tags and entities, TeX commands and Markdown give way to what they stand for.
    boilerplate : bool
        Lines such as heads and credits of GCN circulars and ATels go; of ``SUBJECT: ...`` the subject stays.
    addresses : bool
        Web and mail addresses go.
    unicode : bool
        Composed as NFC; dashes, quotes and blanks of all kinds become the plain ones, invisible characters go. Superscripts stay.

    Returns
    -------
    str
        Blanks single, lines trimmed, at most one empty line between paragraphs. Cleaning twice changes nothing more.

    Raises
    ------
    AlignmentError
        For more than two million characters.
    """
    check(text)
    before = None
    for _ in range(4):  # what markup hid may be markup, once more
        if text == before:
            break
        before, text = text, _once(text, markup, boilerplate, addresses, unicode)
    return text


def _once(text: str, markup: bool, boilerplate: bool, addresses: bool, unicode: bool) -> str:
    text = CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    if unicode:
        text = unicodedata.normalize("NFC", text).translate(SAME)
    if addresses:
        text = LINK.sub(r"\1", text) if markup else text
        text = ADDRESS.sub(" ", text)
    if markup:
        text = without_markup(text)
    if boilerplate:
        text = BOILERPLATE.sub("", SUBJECT.sub("", text))
    return plain_blanks(text)


def without_markup(text: str) -> str:
    """HTML, TeX and Markdown to the words they show."""
    if "<" in text or "&" in text:
        reader = _Words()
        # a lone < is "less than", not a tag: 3 < z
        reader.feed(re.sub(r"<(?![A-Za-z/!])", "&lt;", text))
        reader.close()
        text = "".join(reader.parts)
    if "\\" in text:
        text = TEX_SIGN.sub(lambda m: GREEK.get(m[1]) or SIGNS[m[1]], text)
        text = TEX_COMMAND.sub(" ", text).replace("{", "").replace("}", "")
    if text.count("$") > 1:
        text = text.replace("$", "")
    return HEADING.sub("", EMPHASIS.sub(r"\2", LINK.sub(r"\1", text)))


def plain_blanks(text: str) -> str:
    """Single blanks, trimmed lines, at most one empty line in a row."""
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
