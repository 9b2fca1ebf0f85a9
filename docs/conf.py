"""How Sphinx builds these pages: `make docs`, without a network."""

import os
import re
import shutil
import tempfile
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"

project = "llm_magics"
author = "the maintainers of llm_magics"
release = version = installed("llm-magics-notebook")
extensions = ["myst_nb", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Language models in the notebook", "page_width": "1100px"}
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"

# The example notebooks are executed in a real kernel and kept in the cache until they change.
# LLM_MAGICS_DOCS_NOTEBOOKS names those to execute, by stem; "" executes none.
CHOSEN = os.environ.get("LLM_MAGICS_DOCS_NOTEBOOKS")
shutil.rmtree(HERE / "examples", ignore_errors=True)
(HERE / "examples").mkdir()
for notebook in sorted(EXAMPLES.glob("*.ipynb")):
    shutil.copy(notebook, HERE / "examples")
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / ".jupyter_cache")
nb_execution_timeout = 900  # seconds a cell
nb_execution_raise_on_error = True
nb_execution_excludepatterns = [
    f"examples/{path.name}"
    for path in EXAMPLES.glob("*.ipynb")
    if CHOSEN is not None and path.stem not in CHOSEN.split(",")
]
os.environ["HF_HUB_OFFLINE"] = "1"  # the same pages on every machine
os.environ["LLM_MAGICS_HOME"] = tempfile.mkdtemp(prefix="llm_magics-docs-")

# A page has no kernel: of a widget it shows the picture that lies beside it, and asks no CDN.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
nb_ipywidgets_js = {}

# Prose that is a cell of a magic is no Python; the highlighter need not say so for each.
suppress_warnings = ["misc.highlighting_failure"]


def to_pages(app, name, source):
    """On these pages a link to a notebook goes to its executed copy, one into the code is text."""
    text = re.sub(r"\]\((?:\.\./)+examples/(\w+)\.ipynb\)", r"](/examples/\1.ipynb)", source[0])
    source[0] = re.sub(r"\[([^\]]+)\]\((?:\.\./)+llm_magics/[^)]*\)", r"`\1`", text)


def setup(app):
    app.connect("source-read", to_pages)
