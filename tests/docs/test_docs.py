"""The documentation only names what exists: headings, files, settings, commands, metrics and log events."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from prometheus_client import REGISTRY

from server.config.reference import describe_settings, settings_page
from server.process.command_line import app
from tests.support.checkout import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "bench" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
CURRENT_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
CODE = ("execution", "schema", "plans", "resolvers", "realtime", "db", "server")
FOLDERS = (*CODE, "alembic", "bench", "docs", "graphql", "tests", "web")
# Created by commands, and not part of a clone.
GENERATED = ("bench/results", "server/static", "graphql/generated")
# A variable of the web client's development server, not a setting.
OTHER_VARIABLES = {"MESSENGER_URL"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
each_current_page = pytest.mark.parametrize(
    "page", CURRENT_PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


@each_page
def test_relative_links_lead_to_files_and_headings_that_exist(page: Path):
    broken = [target for target in links(page) if not target_exists(target, page)]
    assert broken == []


@each_current_page
def test_named_files_exist(page: Path):
    paths = [text for text in code_spans(page) if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*", text)]
    missing = [path for path in paths if not path.startswith(GENERATED) and not (ROOT / path).exists()]
    assert missing == []


@each_current_page
def test_named_settings_exist(page: Path):
    named = set(re.findall(r"MESSENGER_[A-Z_]*[A-Z]", page.read_text()))
    assert named - OTHER_VARIABLES <= {name for name, _, _ in describe_settings()}


@each_current_page
def test_named_commands_exist(page: Path):
    spans = list(code_spans(page))
    commands = {found[1] for text in spans if (found := re.match(r"messenger ([a-z-]+)", text))}
    assert commands <= {
        command.name or command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.callback is not None
    }
    targets = {found[1] for text in spans if (found := re.match(r"make ([a-z]+)$", text))}
    assert targets <= set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_settings_reference_is_current():
    page = ROOT / "docs" / "configuration.md"
    assert page.read_text() == settings_page(), "run: messenger settings > docs/configuration.md"


def test_every_metric_is_described():
    described = set(re.findall(r"\| `(messenger_\w+)` \|", (ROOT / "docs" / "operation.md").read_text()))
    # The client library stores counters under their names without the suffix.
    exported = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in REGISTRY.collect()
        if family.name.startswith("messenger_")
    }
    assert described == exported


def test_quoted_log_events_and_messages_exist():
    sources = "".join(path.read_text() for folder in CODE for path in (ROOT / folder).glob("**/*.py"))
    quoted = [
        text
        for text in code_spans(ROOT / "docs" / "operation.md")
        if " " in text and not re.match("messenger |docker |make |ulimit |MESSENGER_", text)
    ]
    assert quoted
    assert [text for text in quoted if text not in sources] == []


def test_the_packages_of_the_server_are_listed_with_their_files():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `server/(\w+)/` \|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    packages = [init.parent for init in (ROOT / "server").glob("*/__init__.py")]
    assert {package: re.findall(r"`(\w+)`", files) for package, files in rows} == {
        package.name: sorted(file.stem for file in package.glob("[!_]*.py")) for package in packages
    }


@pytest.mark.parametrize("index", ["docs/README.md", "docs/decisions/README.md"])
def test_an_index_lists_every_page_of_its_folder(index: str):
    page = ROOT / index
    listed = {(page.parent / urlsplit(target).path).resolve() for target in links(page)}
    assert set(page.parent.glob("*.md")) - {page} <= listed


def links(page: Path) -> Iterator[str]:
    """Return the targets of the page's links and images that are in the repository."""
    for token in inline(page):
        target = token.attrs.get("href") or token.attrs.get("src")
        if isinstance(target, str) and not urlsplit(target).scheme:
            yield target


def target_exists(target: str, page: Path) -> bool:
    parts = urlsplit(unquote(target))
    path = (page.parent / parts.path).resolve() if parts.path else page
    if not path.is_relative_to(ROOT) or not path.exists():
        return False
    return not parts.fragment or parts.fragment in anchors(path)


def code_spans(page: Path) -> Iterator[str]:
    return (token.content for token in inline(page) if token.type == "code_inline")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub generates for the page's headings."""
    tokens = parsed(page)
    titles = [tokens[at + 1] for at, token in enumerate(tokens) if token.type == "heading_open"]
    texts = ["".join(child.content for child in title.children or []) for title in titles]
    return frozenset(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts)


def inline(page: Path) -> Iterator[Token]:
    return (child for token in parsed(page) for child in token.children or [])


@cache
def parsed(page: Path) -> Sequence[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text())
