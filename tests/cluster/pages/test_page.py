"""The page that reports share: it fetches nothing."""

import base64
import hashlib
import re

from cluster.pages import page
from cluster.pages.elements import element
from cluster.pages.page import Section
from drawings import HOSTILE


def test_a_page_may_load_nothing_and_run_its_own_script_only() -> None:
    section = Section(anchor="a", title="A", content=[element("p", HOSTILE)])
    html = page.render(title=HOSTILE, kicker="", headline=HOSTILE, lead=[], sections=[section])
    [policy] = re.findall(r'content="(default-src[^"]*)"', html)
    assert policy.startswith("default-src 'none'")
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)
    assert "@import" not in html
    assert "url(" not in html
    assert '<a href="#a">A</a>' in html
