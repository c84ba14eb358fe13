"""How the documentation's site is built: `make docs`. The sources are the Markdown files of the repository and the code."""

from __future__ import annotations

import sys
from pathlib import Path

import heliostat

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "extensions"))

project = "Heliostat"
author = "The Heliostat authors"
version = release = heliostat.__version__
html_title = f"{project} {version}"

# The sources' root is the repository's: links among its Markdown files lead to the same place there and on the site.
root_doc = "README"
include_patterns = ["*.md", "docs/**.md", "findings/*.md"]
exclude_patterns = [each.name for each in HERE.parent.iterdir() if each.is_dir() and each.name not in ("docs", "findings")]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinxcontrib.mermaid",
    "contents",
    "docstrings",
    "links",
    "model_reference",
]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
# The drawing library comes over the network when a page is looked at; without it the diagram's text is shown.
mermaid_height = "auto"
mermaid_fullscreen = False
highlight_language = "none"

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_type_aliases = {  # not all that they may be, each time
    "Strategy": "heliostat.spec.strategies.Strategy",
    "Task": "heliostat.spec.tasks.Task",
    "DeclaredTask": "heliostat.spec.tasks.DeclaredTask",
}

# Every name in a signature leads somewhere, but for what other packages describe: no network is needed to build this.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(pulumi|pydantic|pa|pyarrow|numpy|np|NDArray|lightgbm|collections|pathlib|Path|Enum|IntEnum|StrEnum)\b.*"),
    (r"py:.*", r"(httpx|os|psutil|pandas|pd)\b.*"),
    (r"py:.*", r"(.*\.)?(Row|Answer|P)"),  # what a contract, and a training, is generic in
    (r"py:.*", r"(types\.Annotated|FieldInfo|NoneType|Figure|Name|Digest)"),  # what Sphinx makes of aliases
    (r"py:.*", r"(Ingestion|Transformed)"),  # imported for types alone, so that programs without it need no numpy
    (r"py:.*", r".*\.MetricLogger"),  # written by the context itself
]

html_theme = "furo"
templates_path = ["templates"]
html_additional_pages = {"index": "index.html"}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
