"""Error pages for people, with text and links, and without scripts."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from string import Template

from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; font: 1.125rem/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; min-height: 100vh; place-items: center; }
main { max-width: 34rem; padding: 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.25; }
a { display: inline-block; padding: .5rem 0; margin-right: 1.5rem; }
small { opacity: .8; }
"""

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
<p>$text</p>
<p>$links</p>
<p><small>$note</small></p>
</main>
</body>
</html>
""")

_HEADERS = {
    "content-security-policy": "; ".join(
        (
            "default-src 'none'",
            f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    # The URL of a callback contains a code.
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def problem_page(
    title: str, text: str, status: int, *, links: Mapping[str, str], note: str = ""
) -> HTMLResponse:
    """Return a page that says what went wrong and what to do; `links` maps link texts to addresses."""
    linked = "\n".join(
        f'<a href="{escape(address)}">{escape(label)}</a>' for label, address in links.items() if address
    )
    page = _PAGE.substitute(
        title=escape(title), text=escape(text), style=_STYLE, links=linked, note=escape(note)
    )
    return HTMLResponse(page, status, _HEADERS)
