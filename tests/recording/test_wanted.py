"""Which URLs are wanted: many looked through at once are judged as each of them is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfrecord.normalise.select import wanted_by
from dfrecord.recording.wanted import Wanted
from dfrecord.system_api.catalog import load

CATALOG = load()
FILTERS = [CATALOG.default_filters, ("api/v2/system/role", "api/v2/db"), ("https://h/api/v2/k\xe4se",), ("/",)]
PIECES = [
    "https://h",
    "http://h:1",
    "/",
    "api",
    "/v2/",
    "sys",
    "tem",
    "SYSTEM",
    "/role",
    "user",
    "session",
    "?",
    "#",
    "%",
]
PIECES += ["%73ystem", "\t", "\n", "\r", "\x01", " ", "\u212a", "\u0130", "k\xe4se", "db", "\udc80", "[", "", "@"]
urls = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=9).map("".join),
    st.sampled_from(
        ["https://h/api/v2/system/role?a=1", "https://h/folder/api/v2/SYSTEM/app", "http://h/api/v2/s\tystem"]
    ),
)


@pytest.mark.parametrize("filters", FILTERS)
@given(many=st.lists(urls, max_size=6))
@settings(deadline=None)
def test_many_are_judged_as_each_is(filters: tuple[str, ...], many: list[str]) -> None:
    wanted = wanted_by(filters, CATALOG, CATALOG.at_root)
    judged = [wanted.judge(url) for url in many]
    assert [wanted(url) for url in many] == judged
    assert wanted.places_in(many) == [place for place, is_wanted in enumerate(judged) if is_wanted]


def test_only_urls_with_a_sign_are_judged() -> None:
    asked: list[str] = []

    def judge(url: str) -> bool:
        asked.append(url)
        return True

    wanted = Wanted(judge, ("system",))
    many = ["http://h/a.js", "http://h/api/v2/SYSTEM/role", "http://h/b.js?system", "http://h/sys", "tem"]
    assert wanted.places_in(many) == [1, 2, 3]  # one that only seems to stand where two URLs meet is judged, too
    assert asked == many[1:4]
