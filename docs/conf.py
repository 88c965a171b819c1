"""How Sphinx builds these pages. Nothing here fetches anything: a build needs no network."""

from importlib.metadata import version as installed_version

project = "trio-gusto"
author = "trio-gusto contributors"
project_copyright = author
release = version = installed_version("trio-gusto")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3  # so that pages can link to each other's headings

autodoc_member_order = "bysource"  # a file reads in the order things happen
autodoc_typehints = "signature"
default_role = "code"  # docstrings mark names with single backticks
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "trio-gusto"
