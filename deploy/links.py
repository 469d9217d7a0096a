#!/usr/bin/env python3
"""Checks that each link of the site leads to a page or file of it, and to a heading there.

Usage: deploy/links.py SITE
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# mdBook's own pages: one repeats all documents, one has no place of its own.
LEFT_OUT = {"print.html", "404.html", "toc.html"}


class Page(HTMLParser):
    """The links and the targets of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links: list[str] = []
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value and name in ("id", "name"):
                self.targets.add(value)
            if value and name in ("href", "src"):
                self.links.append(value)


def main() -> int:
    site = Path(sys.argv[1]).resolve()
    files = [file for file in sorted(site.rglob("*.html")) if file.name not in LEFT_OUT]
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
    checked, broken = 0, []
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            checked += 1
            path = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if path in pages and parts.fragment:
                if unquote(parts.fragment) not in pages[path].targets:
                    broken.append(f"{file.relative_to(site)}: {link}: no such heading")
            elif not path.exists():
                broken.append(f"{file.relative_to(site)}: {link}: not there")
    for line in broken:
        print(line)
    print(f"{len(pages)} pages, {checked} links, {len(broken)} broken")
    if not pages or not checked:
        print("links: nothing was checked")
        return 1
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
