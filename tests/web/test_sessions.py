"""The list of sessions in the web client: programs have familiar names."""

from playwright.async_api import Browser, expect

from tests.support.chromium import needs_chromium
from tests.support.web_client import Pair, window_of

pytestmark = needs_chromium

WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
WINDOWS = f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {BLINK}"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)"
IPAD = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X)"
ANDROID = f"Mozilla/5.0 (Linux; Android 10; K) {BLINK}"
WEBVIEW = f"Mozilla/5.0 (Linux; Android 14; Pixel 8; wv) {BLINK}"
LINUX = f"Mozilla/5.0 (X11; Linux x86_64) {BLINK}"

AGENTS = {
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36": "Chrome on Windows",
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.87": "Edge on Windows",
    f"{WINDOWS} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763": "Edge on Windows",
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 OPR/112.0.0.0": "Opera on Windows",
    f"{WINDOWS} Chrome/126.0.0.0 Safari/537.36 Vivaldi/6.8.3381.46": "Vivaldi on Windows",
    f"{WINDOWS} Chrome/124.0.0.0 YaBrowser/24.6.0.0 Safari/537.36": "Yandex Browser on Windows",
    f"{WINDOWS} Slack/4.38.125 Chrome/124.0.6367.243 Electron/30.2.0 Safari/537.36": "Slack on Windows",
    f"{WINDOWS} Code/1.91.1 Chrome/122.0.6261.156 Electron/29.4.0 Safari/537.36": "Code on Windows",
    f"{LINUX} Chrome/122.0.6261.156 Electron/29.4.0 Safari/537.36": "An app on Linux",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0": "Firefox on Windows",
    "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko": "Internet Explorer on Windows",
    f"{MAC} {WEBKIT} Version/17.5 Safari/605.1.15": "Safari on macOS",
    f"{MAC} {WEBKIT} CriOS/126.0.6478.54 Version/17.5 Safari/605.1.15": "Chrome on iPadOS",
    f"{MAC} {WEBKIT}": "An app on macOS",
    f"{IPHONE} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iOS",
    f"{IPHONE} {WEBKIT} CriOS/126.0.6478.54 Mobile/15E148 Safari/604.1": "Chrome on iOS",
    f"{IPHONE} {WEBKIT} FxiOS/127.0 Mobile/15E148 Safari/605.1.15": "Firefox on iOS",
    f"{IPHONE} {WEBKIT} Version/17.0 EdgiOS/125.0.2535.96 Mobile/15E148 Safari/605.1.15": "Edge on iOS",
    f"{IPHONE} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1 OPT/4.7.0": "Opera on iOS",
    f"{IPHONE} {WEBKIT} GSA/323.0.647062479 Mobile/15E148 Safari/604.1": "Google app on iOS",
    f"{IPHONE} {WEBKIT} Mobile/15E148": "An app on iOS",
    f"{IPHONE} {WEBKIT} Mobile/15E148 [FBAN/FBIOS;FBAV/470.0.0.40.110]": "Facebook on iOS",
    f"{IPAD} {WEBKIT} Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iPadOS",
    f"{ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36": "Chrome on Android",
    f"{ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36 EdgA/125.0.2535.96": "Edge on Android",
    f"{ANDROID} SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
    f"{ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36 OPR/83.0.0.0": "Opera on Android",
    "Mozilla/5.0 (Android 14; Mobile; rv:127.0) Gecko/127.0 Firefox/127.0": "Firefox on Android",
    f"{WEBVIEW} Version/4.0 Chrome/126.0.6478.71 Mobile Safari/537.36": "An app on Android",
    f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {BLINK} Chrome/126.0.0.0 Safari/537.36": "Chrome on ChromeOS",
    f"{LINUX} HeadlessChrome/126.0.0.0 Safari/537.36": "Chrome on Linux",
    f"{LINUX} Chrome/126.0.0.0 Safari/537.36": "Chrome on Linux",
    "curl/8.7.1": "curl",
    "Wget/1.21.4": "Wget",
    "okhttp/4.12.0": "okhttp",
    "PostmanRuntime/7.39.0": "Postman",
    "python-httpx/0.27.0": "A Python program",
    "Go-http-client/2.0": "A Go program",
    "node": "A Node.js program",
    "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8 Build/AP1A.240505.005)": "An app on Android",
    "Acme-Messenger/2.3 (iPhone; iOS 17.5; Scale/3.00)": "Acme-Messenger on iOS",
    "": "A program",
    "? ? ?": "? ? ?",
}


async def test_programs_have_familiar_names(browser: Browser, pair: Pair):
    http = pair.ada.http
    for agent in AGENTS:
        sent = {"user-agent": agent}
        answer = await http.post("/auth/dev/login", json={"username": pair.grace.username}, headers=sent)
        assert answer.status_code == 200
        http.cookies.clear()
    async with window_of(browser, pair.origin) as window:
        async with window.page.expect_response(
            lambda response: "Sessions" in (response.request.post_data or "")
        ) as answered:
            await window.signs_in(pair.grace.username, at="/profile")
        sessions = (await (await answered.value).json())["data"]["sessions"]
        shown = window.page.locator(".sessions strong")
        await expect(shown).to_have_count(len(sessions))
        names = await shown.all_inner_texts()
        assert window.complaints == []
    found = {session["userAgent"] or "": name for session, name in zip(sessions, names, strict=True)}
    assert {agent: found.get(agent) for agent in AGENTS} == AGENTS
