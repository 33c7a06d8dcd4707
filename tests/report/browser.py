"""Chromium, without a screen and without network; what a script in the page leaves behind is read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import escape, unescape
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CHROMIUM = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

WATCH = """
<script>
const seen = [];
addEventListener("error", (event) => seen.push(String(event.message)));
addEventListener("unhandledrejection", (event) => seen.push(String(event.reason)));
const wait = (time) => new Promise((done) => setTimeout(done, time));
const finish = (found) => {
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  const requests = loaded.filter((name) => !name.startsWith("data:") && !name.startsWith("blob:"));
  parent.document.body.dataset.probe = JSON.stringify({ ...found, seen, requests });
};
</script>
"""


def ask(page: str, script: str, folder: Path, width: int | None = None) -> Any:
    """Open a page from a file and return what a script hands to `finish`, with errors seen and requests made.

    Windows of Chromium are not narrower than 485 pixels or so: a page of a given width is a frame in another.
    """
    before, _, after = page.rpartition("</body>")
    head, _, rest = before.partition("<head>")
    watched = f"{head}<head>{WATCH}{rest}<script>{script}</script></body>{after}"
    if width is not None:
        watched = (
            f'<body><iframe width="{width}" height="844" frameborder="0" srcdoc="{escape(watched)}"></iframe></body>'
        )
    (folder / "page.html").write_text(watched, encoding="utf-8")
    answer = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-sync"),
            *("--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND"),
            *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
            *(f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=30000", "--dump-dom"),
            (folder / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    ).stdout
    probe = re.search(r'data-probe="([^"]*)"', answer)
    assert probe is not None, answer[-300:]
    return json.loads(unescape(probe[1]))
