"""Builds the manual: ``make docs``. The reference pages are written from the code while Sphinx reads them."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent), str(_HERE.parent / "cli")]

project = "CRM"
author = "The CRM developers"
project_copyright = "The CRM developers, Apache-2.0"
try:
    release = metadata.version("crm-kernel")
except metadata.PackageNotFoundError:  # a source tree on the path without an installation
    release = "0.1.0"
version = release

extensions = ["myst_parser", "sphinx_click", "crm_reference"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "images"]
nitpicky = True
# sphinx-click documents options of click types that no inventory names.
nitpick_ignore_regex = [("std:.*", ".*")]

html_theme = "alabaster"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_title = f"CRM {release}"
html_show_sphinx = False
html_copy_source = False
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html", "relations.html"]}
html_theme_options = {
    "description": "Modules on one customer database",
    "fixed_sidebar": True,
    "page_width": "70rem",
    "sidebar_width": "15rem",
    "body_max_width": "46rem",
    "font_family": "system-ui, sans-serif",
    "head_font_family": "system-ui, sans-serif",
    "code_font_size": "0.86em",
    "show_powered_by": False,
    "show_relbars": True,
    "sidebar_collapse": True,
}
