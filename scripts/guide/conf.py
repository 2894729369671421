"""Configuration of Sphinx, which makes the site at /guide from the Markdown files of the repository.

The sources are the files as GitHub shows them: no directive of Sphinx is in them. The navigation is that of
docs/index.md: each of its sections is a group of the sidebar, with the documents that the section links to.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

HOME = Path(__file__).parent
ROOT = HOME.parent.parent

project = "Real-time price aggregator"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "terraform/README.md", "tests/README.md", "clients/*/README.md", "[A-Z]*.md"]
exclude_patterns = ["**/node_modules", ".*"]
nitpicky = True
show_warning_types = True

myst_heading_anchors = 4
myst_fence_as_directive: list[str] = []
myst_links_external_new_tab = False

html_theme = "furo"
html_title = project
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["guide.css"]
html_copy_source = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
highlight_language = "text"  # of an indented block; most are commands with comments

_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)\.md\)")


def navigation(text: str) -> str:
    """Return the hidden tables of contents of a landing page: one for each section that links to documents."""
    trees = []
    for title, section in _SECTION.findall(text):
        links = dict.fromkeys(_LINK.findall(section))
        if links:
            trees.append("\n".join(["```{toctree}", ":hidden:", f":caption: {title}", "", *links, "```"]))
    return "\n\n".join(trees)


def add_navigation(_: Sphinx, document: str, source: list[str]) -> None:
    """Append the tables of contents to the landing page."""
    if document == root_doc:
        source[0] += "\n" + navigation(source[0])


def setup(app: Sphinx) -> None:
    """Connect the above with Sphinx."""
    app.connect("source-read", add_navigation)
