"""A hook of MkDocs: pages and pictures outside `docs/`, and links that work in the repository and in the site alike.

Pages link as files of the repository do (`../tasks/vstar/README.md`). In the site, such a link leads to the page that the file has
become, to the copied picture, or to the file at its place in the hosted repository. A link to nothing stays as it is, and the strict
build then fails.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "results/reference/mini/README.md": "model-card.md",
    "results/published/README.md": "published-figures.md",
    **{f"tasks/{folder.name}/README.md": f"tasks/{folder.name}.md" for folder in sorted((ROOT / "tasks").glob("[a-z]*/"))},
}
"""Files of the repository that are pages of the site, and their names there."""
PICTURES = "results/reference/demo/report"
_CODE = re.compile(r"(^(`{3,}).*?^\2`*[ ]*$|`+[^`\n]+`+)", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and pictures that lie outside `docs/`."""
    pictures = {path.relative_to(ROOT).as_posix(): f"pictures/{path.name}" for path in (ROOT / PICTURES).glob("*.png")}
    for source, target in {**PAGES, **pictures}.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite a page's links; what is code stays as it is."""
    here = _source(page.file.src_uri)
    parts = _CODE.split(markdown)
    # `split` gives text, code, fence, text, …: only every third part is prose, and fences are in the code already
    texts = [_LINK.sub(lambda link: _link(link, here, page.file.src_uri, config.repo_url), text) for text in parts[::3]]
    codes = [*parts[1::3], ""]
    return "".join(text + code for text, code in zip(texts, codes, strict=True))


def _source(uri: str) -> str:
    """Where a page of the site lies in the repository."""
    return next((source for source, target in PAGES.items() if target == uri), f"docs/{uri}")


def _link(link: re.Match[str], here: str, uri: str, repository: str) -> str:
    """One link as the site needs it."""
    before, whole, after = link.groups()
    path, mark, anchor = whole.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
    if not (ROOT / target).exists():
        return link[0]
    return f"{before}{_address(target, uri, repository)}{mark}{anchor}{after}"


def _address(target: str, uri: str, repository: str) -> str:
    """Where the site has a file of the repository: as a page or a picture of its own, or in the hosted repository."""
    folder = posixpath.dirname(uri) or "."
    if target in PAGES:
        return os.path.relpath(PAGES[target], folder)
    if target.startswith("docs/"):
        return os.path.relpath(target.removeprefix("docs/"), folder)
    if target.startswith(PICTURES) and target.endswith(".png"):
        return os.path.relpath(f"pictures/{posixpath.basename(target)}", folder)
    kind = "tree" if (ROOT / target).is_dir() else "blob"
    return f"{repository}/{kind}/main/{target}"
