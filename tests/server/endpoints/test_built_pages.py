"""The built pages as they are served: addresses, caching, compression, and security headers."""

import re

import httpx
import pytest


async def test_the_web_client_is_served_at_each_of_its_addresses(http: httpx.AsyncClient):
    page = await http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    for address in ("/conversations/anything", "/profile"):
        assert (await http.get(address)).text == page.text
    for address in (
        "/nowhere",
        "/conversations/",
        "/conversations/one/more",
        "/assets/",
        "/assets/nothing.js",
    ):
        assert (await http.get(address)).status_code == 404, address


async def test_the_content_security_policy_allows_only_what_the_web_client_needs(http: httpx.AsyncClient):
    policy = (await http.get("/")).headers["content-security-policy"]
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' https:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br;q=0", "gzip"),
        ("br; q=0.000, gzip;q=0", None),
        ("identity", None),
        ("", None),
    ],
)
async def test_assets_are_immutable_and_compressed_on_request(
    http: httpx.AsyncClient, accepted: str, encoding: str | None
):
    script = re.search(r'src="(/assets/[^"]+\.js)"', (await http.get("/")).text)
    assert script is not None
    whole = await http.get(script[1], headers={"accept-encoding": "identity"})
    response = await http.get(script[1], headers={"accept-encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    if encoding != "br":  # httpx needs another package to decode it
        assert response.content == whole.content
    if encoding:
        assert response.headers["vary"] == "accept-encoding"
        assert int(response.headers["content-length"]) < len(whole.content) / 3
    again = await http.get(
        script[1], headers={"accept-encoding": accepted, "if-none-match": response.headers["etag"]}
    )
    assert again.status_code == 304
