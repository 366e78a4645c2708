"""A minimal browser for signing in: it keeps cookies, follows redirects, and submits forms."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

from tests.support.clients import http_client


@dataclass
class Form:
    """A form of a page, with the values of its fields."""

    action: str
    fields: dict[str, str] = field(default_factory=dict[str, str])


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "input" and self.forms and "name" in given:
            self.forms[-1].fields[given["name"]] = given.get("value", "")


class Browser:
    """One person's browser."""

    def __init__(self) -> None:
        self.http = http_client(headers={"sec-fetch-mode": "navigate"})

    async def goes_to(self, address: str, *, stops_before: str | None = None) -> httpx.Response:
        """Open an address and follow its redirects, up to one whose target starts with `stops_before`."""
        return await self._follow(await self.http.get(address), stops_before)

    async def sends_form(
        self, page: httpx.Response, *, stops_before: str | None = None, **filled_in: str
    ) -> httpx.Response:
        """Fill in the page's first form and submit it."""
        parser = _Forms()
        parser.feed(page.text)
        form = parser.forms[0]
        sent = await self.http.post(urljoin(str(page.url), form.action), data={**form.fields, **filled_in})
        return await self._follow(sent, stops_before)

    async def _follow(self, response: httpx.Response, stops_before: str | None) -> httpx.Response:
        while response.has_redirect_location:
            address = urljoin(str(response.url), response.headers["location"])
            if stops_before is not None and address.startswith(stops_before):
                return response
            response = await self.http.get(address)
        return response
