"""A notebook's own HoloViews plots in the linked selection: a lasso there selects in the widgets, and the other way round."""

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astrofuse_lab.errors import InputError
from astrofuse_lab.widgets.plotting import backend
from astrofuse_lab.widgets.selection import Selection

if TYPE_CHECKING:
    from astrofuse_lab.samples.sample_set import SampleSet

COLUMN = "object_id"
FAINT = 0.15
_LINKS: "weakref.WeakKeyDictionary[Selection, Link]" = weakref.WeakKeyDictionary()


class Link:
    """What holds a `Selection` and HoloViews' ``link_selections`` together; one for each selection.

    Attributes
    ----------
    linker : holoviews.selection.link_selections
        Its own options may be set: ``unselected_alpha``, ``selected_color``.
    ids : str array
        Every id that the plots linked so far know.
    """

    def __init__(self, selection: Selection, column: str) -> None:
        from holoviews.selection import link_selections

        self.column, self.ids = column, np.empty(0, dtype=str)
        self._selection = weakref.ref(selection)
        self._telling = False
        # by id, not by region: ids mean the same in every plot, and a lasso by region needs shapely
        self.linker = link_selections.instance(index_cols=[column], cross_filter_mode="overwrite", unselected_alpha=FAINT, show_regions=False)
        self.linker.param.watch(self._brushed, "selection_expr")
        selection.observe(self._selected, "ids")

    def know(self, ids: Sequence[str]) -> None:
        """More ids that may be selected."""
        self.ids = np.union1d(self.ids, np.asarray(ids, dtype=str))

    def _brushed(self, event: Any) -> None:
        """A plot was brushed, or cleared."""
        import holoviews as hv

        selection = self._selection()
        if self._telling or selection is None:
            return
        inside = np.zeros(len(self.ids), dtype=bool) if event.new is None else np.asarray(event.new.apply(hv.Dataset({self.column: self.ids}, self.column)), dtype=bool)
        self._telling = True
        try:
            selection.ids = tuple(self.ids[inside].tolist())
        finally:
            self._telling = False

    def _selected(self, _change: Any) -> None:
        """A widget or Python selected."""
        self.show()

    def show(self) -> None:
        """Have the plots show what is selected."""
        import holoviews as hv

        selection = self._selection()
        if self._telling or selection is None:
            return
        chosen = np.isin(self.ids, list(selection.ids))
        self._telling = True
        try:
            self.linker.selection_expr = hv.dim(self.column).isin(self.ids[chosen].tolist()) if len(selection.chosen) else None
        finally:
            self._telling = False


def link_plot(element: Any, selection: Any, samples: "SampleSet | None" = None, column: str = COLUMN) -> Any:
    """A HoloViews plot whose lasso, box and taps select in every linked widget, and which shows what they select.

    Parameters
    ----------
    element : HoloViews element, overlay or layout
        Of points that stand for samples: with a dimension `column` that holds their ids, or, with `samples`, one row a sample in their order.
    selection : Selection or widget
        Of a widget, its own: ``widget.selection``.
    samples : SampleSet, optional
        Whose ids the rows are.
    column : str
        Name of the dimension of ids.

    Returns
    -------
    HoloViews object
        Compose it with others by ``+`` and ``*``; plots linked to one selection are linked to one another.

    Raises
    ------
    InputError
        For an element without ids whose rows are not those of `samples`.

    Examples
    --------
    >>> scatter = hv.Points((samples.column("mag_g"), samples.column("redshift")), ["mag_g", "redshift"])  # doctest: +SKIP
    >>> af.link_plot(scatter, widget, samples)  # doctest: +SKIP
    """
    hv = backend()
    chosen = selection if isinstance(selection, Selection) else getattr(selection, "selection", None)
    if not isinstance(chosen, Selection):
        raise InputError(f"link_plot takes a Selection or a widget, not {type(selection).__name__}: af.link_plot(plot, widget, samples).")
    link = _LINKS.get(chosen)
    if link is None:
        link = _LINKS[chosen] = Link(chosen, column)
    if link.column != column:
        raise InputError(f"this selection is linked to plots by {link.column!r}; give column={link.column!r}, or another selection.")
    with_ids = _with_ids(hv, element, samples, column, link)
    linked = link.linker(with_ids)
    link.show()
    return linked


def _with_ids(hv: Any, element: Any, samples: "SampleSet | None", column: str, link: Link) -> Any:
    if not isinstance(element, hv.Element):
        if not hasattr(element, "map"):
            raise InputError(f"link_plot takes a HoloViews plot, not {type(element).__name__}.")
        return element.map(lambda one: _with_ids(hv, one, samples, column, link), hv.Element)
    if column not in element:
        own = getattr(element, "dataset", None)
        if own is not None and column in own:  # made from a table that has them, as a histogram is
            link.know(own.dimension_values(column))
            return element
        if samples is None or len(element) != len(samples):
            told = "no samples were given" if samples is None else f"it has {len(element)} rows, the samples are {len(samples)}"
            raise InputError(f"this {type(element).__name__} has no dimension {column!r}, and {told}. Give one row a sample and samples=, or make it from a table with ids.")
        values = {d.name: element.dimension_values(d) for d in element.dimensions()}
        element = element.clone({**values, column: np.asarray(samples.object_ids)}, vdims=[*element.vdims, column], link=False)  # a table of its own
    link.know(element.dimension_values(column))
    return element
