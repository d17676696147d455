"""What the data say to an answer, in a notebook and in words."""

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Verdict:
    """What the data say to an answer; true where it holds.

    Attributes
    ----------
    name : str
        The task's.
    ok : bool or None
        None: nothing was answered yet.
    words : str
    """

    name: str
    ok: bool | None
    words: str

    def __bool__(self) -> bool:
        return bool(self.ok)

    def __str__(self) -> str:
        return f"{self.name}: {'to do' if self.ok is None else 'right' if self.ok else 'not yet'}. {self.words}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        mark, colour = ("○", "#6b7280") if self.ok is None else ("✓", "#0a7d55") if self.ok else ("✗", "#b3541e")
        said = "to do" if self.ok is None else "right" if self.ok else "not yet"
        style = f"border-left:4px solid {colour};padding:4px 12px;margin:4px 0"
        return f'<div style="{style}" role="status"><strong>{mark} {escape(self.name)}: {said}.</strong> {escape(self.words)}</div>'
