"""What of a page is its content, and what is the site around it: menus, banners about cookies, links to share.

By the page's own marks first (`main`, `article`, roles), then by the names that sites give to such parts, and last by
the share of links (the measure of Kohlschütter et al., Boilerplate Detection using Shallow Text Features, WSDM 2010).
A part that holds much of the page's text is never left out, whatever it is called.
"""

from __future__ import annotations

import re
from typing import Any

_MAIN_SHARE = 0.1
"""A `main` or `article` that holds less of the text than this is a shell that scripts were to fill."""
_CHROME_SHARE = 0.3
"""What holds more of the text than this is content."""
_ROLES = frozenset(["navigation", "banner", "contentinfo", "complementary", "search", "dialog", "alertdialog", "menu"])
_NAMES = re.compile(
    r"(?:^|[\s_-])(?:cookie[\w-]*|consent|gdpr|newsletter|subscribe|share|sharing|social|breadcrumbs?|sidebar|related|"
    r"advert\w*|ads?|promo|popup|modal|skip-?(?:link|nav|to-content)|site-?(?:header|footer|nav)|navbar|menu|pagination|"
    r"headerlink|mw-editsection|noprint|print-only|toc)(?:$|[\s_-])",
    re.IGNORECASE,
)
_NAMED = frozenset(["div", "section", "ul", "ol", "form", "header", "p", "span", "dialog", "table", "a"])
_LINKS = 6
"""A list of at least so many links, and of little else, is a menu."""


def main_parts(tree: Any) -> list[Any]:
    """The elements that hold the content: `main`, or else the outermost `article`s, or else the body."""
    for query in ("//main|//*[@role='main']", "//article[not(ancestor::article)]"):
        found = set(tree.xpath(query))
        roots = [node for node in tree.iter("*") if node in found and found.isdisjoint(node.iterancestors())]
        if roots and sum(map(_visible, roots)) >= _MAIN_SHARE * _visible(tree):
            return roots
    body = tree.find("body")
    return [tree if body is None else body]


def chrome_of(roots: list[Any]) -> frozenset[Any]:
    """Elements under `roots` that belong to the site and not to the page."""
    limit = _CHROME_SHARE * sum(map(_visible, roots))
    found = set()
    for root in roots:
        whole = root.tag in {"body", "html"}
        for node in root.iter("*"):
            if node is not root and _is_chrome(node, whole) and _visible(node) <= limit:
                found.add(node)
    return frozenset(found)


def _is_chrome(node: Any, whole: bool) -> bool:
    if node.get("role") in _ROLES or node.get("aria-modal") == "true":
        return True
    if node.tag in _NAMED and _NAMES.search(f"{node.get('class') or ''} {node.get('id') or ''}"):
        # A heading or an item of the text may well be called `menu`; what has paragraphs in it is more than a name.
        return next(node.iter("h1", "article", "main"), None) is None
    return whole and node.tag in {"ul", "ol"} and _is_menu(node)


def _is_menu(node: Any) -> bool:
    links = [len("".join(link.itertext()).strip()) for link in node.iter("a")]
    if len(links) < _LINKS or sum(links) > 40 * len(links):
        return False
    return sum(links) >= 0.9 * max(_visible(node) - len(links), 1)


def _visible(node: Any) -> int:
    """Characters of text under `node`, without scripts and styles."""
    total: float = node.xpath("string-length(normalize-space(.))")
    for hidden in node.xpath(".//script|.//style|.//noscript|.//template|.//head"):
        total -= hidden.xpath("string-length(normalize-space(.))")
    return int(max(total, 0))
