"""Drawings on a page, and the words that are read back from them."""

import re

from cluster.pages.drawing import ChartAxis
from cluster.pages.scale import Linear, short

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def texts(drawn: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", drawn)


def axis(label: str, values: list[float]) -> ChartAxis:
    return ChartAxis(label=label, scale=Linear.over(values, from_zero=True), tick=short)
