"""HTML and SVG as a tree, whose text is always escaped. Stdlib only, pure."""

import re
from xml.etree import ElementTree

Element = ElementTree.Element
Content = ElementTree.Element | str | None

_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that no HTML file may hold: control characters, and surrogates."""


def element(tag: str, *children: Content, **attributes: object) -> Element:
    """Make an element; strings among the children are text, `None` is nothing.

    An attribute's trailing underscore is dropped and others become hyphens (`class_`, `aria_sort`);
    one that is `None` is left out.
    """
    made = ElementTree.Element(
        tag,
        {
            name.rstrip("_").replace("_", "-"): _fit(str(value))
            for name, value in attributes.items()
            if value is not None
        },
    )
    for child in children:
        if isinstance(child, str):
            _append_text(made, _fit(child))
        elif child is not None:
            made.append(child)
    return made


def to_html(root: Element) -> str:
    """Serialize a tree as HTML."""
    return ElementTree.tostring(root, encoding="unicode", method="html")


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text


def _fit(text: str) -> str:
    return _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text)
