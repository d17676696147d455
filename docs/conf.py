"""Sphinx's settings; docs/build.py gathers the pages that they are applied to, and runs Sphinx."""

import inspect
import json
import os
import sys
from pathlib import Path

ROOT = Path(os.environ.get("ASTROFUSE_ROOT", Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(ROOT))

project = "AstroFuse Lab"
author = "The AstroFuse Lab developers"
copyright = "the AstroFuse Lab developers, BSD-3-Clause"  # noqa: A001
release = version = json.loads((ROOT / "widgets" / "package.json").read_text(encoding="utf-8"))["version"]
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
nitpicky = False

# notebooks come with their outputs (docs/build.py runs them); views and plots are HTML that needs no network
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}
nb_mime_priority_overrides = [("html", "text/html", 1), ("html", "application/vnd.jupyter.widget-view+json", 99)]
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

# in the house's docstrings a single backtick is code
default_role = "code"
suppress_warnings = ["ref.python"]  # types in docstrings are words ("path", "iterable of str"), not references
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]  # with their class; a property of that name is no second object
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
add_module_names = False

html_theme = "sphinx_book_theme"
html_title = "AstroFuse Lab"
html_favicon = "favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # read by requests, which a page opened from a disk may not make
html_theme_options = {
    "repository_url": "https://github.com/astrofuse-lab/astrofuse-lab",
    "use_repository_button": True,
    "use_download_button": False,
    "show_toc_level": 2,
    "home_page_in_toc": False,
}
html_context = {"default_mode": "auto"}
copybutton_exclude = ".linenos, .gp, .go"


def signature(_app: object, what: str, _name: str, thing: type, _options: object, signature: str, returns: str) -> tuple[str, str]:
    """Widgets take what their constructor says; traitlets shows ``(*args, **kwargs)``."""
    if what == "class" and hasattr(thing, "trait_names"):
        own = inspect.signature(thing.__init__)
        return str(own.replace(parameters=list(own.parameters.values())[1:], return_annotation=inspect.Signature.empty)), returns
    return signature, returns


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", signature)
