"""Crawl the lists of the product, and collect the paths of full pages.

Promise: every page has 50 assets, and the path for the floor selects the same ones.
"""

import random
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

import orjson

from benchmarks.machine import BenchmarkError

PAGE_SIZE: Final = 50
PAGES_A_LIST: Final = 1_000
PAGES_KEPT: Final = 5_000


class Page(NamedTuple):
    """One page of a list: its path on the product and on the floor."""

    product: str
    floor: str


def crawl(url: str, tag: str, values: Sequence[str]) -> list[Page]:
    """Return full pages of the lists of these jobs, nodes or workflows, in random order."""
    client = HTTPConnection(urlsplit(url).netloc)
    try:
        pages = [page for value in values for page in walk(client, tag, value)]
    finally:
        client.close()
    if not pages:
        raise BenchmarkError(f"no list by {tag} fills a page of {PAGE_SIZE}")
    return random.Random(1).sample(pages, min(len(pages), PAGES_KEPT))


def walk(client: HTTPConnection, tag: str, value: str) -> Iterator[Page]:
    """Yield the pages of a list, until one is not full."""
    cursor, after = "", 0
    for _ in range(PAGES_A_LIST):
        query = {f"{tag}_id": value, "page_size": PAGE_SIZE}
        path = f"/api/assets?{urlencode(query | ({'cursor': cursor} if cursor else {}))}"
        answer = get(client, path)
        if len(answer["assets"]) < PAGE_SIZE:
            return
        yield Page(path, f"/{tag}?{urlencode({'value': value, 'after': after})}")
        cursor, after = answer["next"], answer["assets"][-1]["position"]
        if not cursor:
            return


def get(client: HTTPConnection, path: str) -> Any:
    client.request("GET", path)
    response = client.getresponse()
    body = response.read()
    if response.status != 200:
        raise BenchmarkError(f"GET {path} answered {response.status}: {body.decode()}")
    return orjson.loads(body)


def write_paths(file: Path, paths: Sequence[str]) -> Path:
    """Write a file for `pages.lua`, one path a line."""
    file.write_text("\n".join(paths) + "\n")
    return file
