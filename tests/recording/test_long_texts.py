"""Long texts of entries that nobody wants are jumped over, and still every well-formed file gives what JSON says."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfrecord.recording import har_entry, json_strings
from dfrecord.recording.har_entry import EntryReader
from dfrecord.recording.json_strings import JsonStrings
from dfrecord.recording.wanted import Wanted
from tests.recording.hars import entry
from tests.recording.test_skipping import one_by_one

GAPS = ("", " ", "\n  ", "\t", "\r\n", " \n")
fragments = st.sampled_from(
    ['"', "\\", ' "', ',"', '{"', '["', '\\"', '","', '"}', '"}}},{"', "\n", "\t", "/", "é", "€", "🚀", "abc ", "\x00"]
)
texts = st.lists(fragments | st.text(max_size=3), max_size=150).map("".join)


def written(draw: st.DrawFn, value: object) -> str:
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


def joined(draw: st.DrawFn, members: list[tuple[str, str]]) -> str:
    """An object of names and the texts of their values, in one of many layouts; a name may be spelled with escapes."""
    gap = draw(st.sampled_from(GAPS))
    spelled = (
        (f'"\\u{ord(name[0]):04x}{name[1:]}"' if draw(st.integers(0, 9)) == 0 else f'"{name}"') for name, _ in members
    )
    parts = (f"{name}{gap}:{gap}{value}" for name, (_, value) in zip(spelled, members, strict=True))
    return "{" + gap + f"{gap},{gap}".join(parts) + gap + "}"


@st.composite
def requests(draw: st.DrawFn) -> str:
    url = f"http://h/{draw(st.sampled_from(['a', 'b', 'api/v2/system/role', '?' + 200 * 'q']))}"
    members = [("url", written(draw, url))]
    if draw(st.booleans()):
        members.append(("postData", joined(draw, [("text", written(draw, draw(texts))), ("x", "0")])))
    if draw(st.integers(0, 4)) == 0:
        members.append(("url", written(draw, "http://h/later")))
    return joined(draw, draw(st.permutations(members)) if draw(st.booleans()) else members)


@st.composite
def responses(draw: st.DrawFn) -> str:
    content = [("text", written(draw, draw(texts))), ("encoding", '"x"')]
    more = draw(
        st.sampled_from(
            ["[]", '{"request": {"url": "no"}}', '[{"request": 1}, {"request": 2}]', "0", '"", "url": "no"']
        )
    )
    members = [("status", "200"), ("content", joined(draw, draw(st.permutations(content)))), ("_more", more)]
    return joined(draw, draw(st.permutations(members)))


@st.composite
def entries(draw: st.DrawFn) -> str:
    members = [("request", draw(requests())), ("response", draw(responses())), ("_long", written(draw, draw(texts)))]
    if draw(st.integers(0, 3)) == 0:
        members.append(("request", draw(requests() | st.sampled_from(["null", "{}", "[]", '{"url": 5}']))))
    return joined(draw, draw(st.permutations(members)) if draw(st.booleans()) else members)


def wanted(url: str) -> bool:
    return "system" in url


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts need not be long, and are looked through in small parts."""
    monkeypatch.setattr(har_entry, "_WINDOWS", (100, 300))
    monkeypatch.setattr(json_strings, "_AT_A_TIME", 7)


def url_of(value: object) -> str | None:
    request = value.get("request") if isinstance(value, dict) else None
    url = request.get("url") if isinstance(request, dict) else None
    return url if isinstance(url, str) else None


@pytest.mark.usefixtures("short")
@given(entries(), st.sampled_from(["]", ", {}]", ',\n{"request": {"url": "next"}}', "", " ,1"]))
@settings(max_examples=1000, deadline=None)
def test_an_entry_ends_where_json_says_and_its_last_url_counts(text: str, after: str) -> None:
    url = url_of(json.loads(text))
    array = f"[{text}{after}".encode()
    found = EntryReader(memoryview(array), wanted).entry_at(1)
    if url is None:
        assert found is None
    elif found is not None:  # msgspec does not take one whose first request is none; the last may be one
        read, end = found
        assert (read if isinstance(read, str) else read.request.url) == url
        assert array[:end].rstrip() == f"[{text}".encode()
        assert isinstance(read, str) != wanted(url)


@pytest.mark.usefixtures("short")
@given(st.lists(entries() | st.sampled_from(["null", "{}", "[]", "[{}, 1]", '"x"']), max_size=5), st.sampled_from(GAPS))
@settings(max_examples=300, deadline=None)
def test_a_file_of_such_entries_gives_what_json_says(elements: list[str], gap: str) -> None:
    text = f'{{"log": {{"entries": [{f"{gap},{gap}".join(elements)}]}}}}'
    recording = one_by_one(text.encode(), Wanted(wanted))
    expected = [(number, url_of(value)) for number, value in enumerate(json.loads(text)["log"]["entries"])]
    found = [(e.number, e.request.url) for e in recording.exchanges] + [
        (e.number, e.url) for e in recording.passed_over
    ]
    assert sorted(found) == [(number, url) for number, url in expected if url is not None]
    assert recording.lost == sum(url is None for _, url in expected)


@given(texts, st.sampled_from(GAPS), st.booleans(), st.sampled_from(["}", ',"b":"c"}', '}}},["c"]', '}}},{"d":"']))
@settings(max_examples=1000, deadline=None)
def test_the_end_of_a_string_is_found_from_wherever_in_it(text: str, gap: str, ascii_only: bool, after: str) -> None:
    string = json.dumps(text, ensure_ascii=ascii_only)
    before = f'{{{gap}"a"{gap}:{gap}'.encode()
    buffer = memoryview(before + string.encode() + f"{gap}{after}".replace(",", f",{gap}").encode())
    end = len(before) + len(string.encode()) - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_strings, "_AT_A_TIME", 5)
        strings = JsonStrings(buffer)
        for place in inner_places(text, ascii_only, len(before) + 1):
            assert strings.end_of(place) == end


def inner_places(text: str, ascii_only: bool, start: int) -> Iterator[int]:
    """The places between the characters of a string."""
    yield start
    for character in text:
        start += len(json.dumps(character, ensure_ascii=ascii_only).encode()) - 2
        yield start


@given(st.binary(max_size=200), st.integers(0, 200))
@settings(max_examples=1000, deadline=None)
def test_whatever_the_bytes_the_end_of_a_string_is_a_quote_or_none(text: bytes, inside: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_strings, "_AT_A_TIME", 3)
        end = JsonStrings(memoryview(text)).end_of(min(inside, len(text)))
    assert end is None or text[end] == ord('"')


@given(texts, st.booleans(), st.integers(0, 400))
@settings(max_examples=1000, deadline=None)
def test_a_cut_is_not_within_an_escape_or_a_character(text: str, ascii_only: bool, place: int) -> None:
    # Half of a pair of surrogates is a whole escape; msgspec refuses what is cut between them.
    string = json.dumps(text, ensure_ascii=ascii_only).encode()
    cut = JsonStrings(memoryview(string)).cut(place)
    if cut is not None:
        assert 0 <= cut <= place < len(string)
        assert cut == 0 or isinstance(json.loads(string[:cut] + b'"'), str)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("member", ["request", "response"])
def test_what_is_in_a_long_text_is_not_looked_at(indent: int | None, member: str) -> None:
    """Only so is it known that it was jumped over: a byte that no JSON may hold stays unnoticed."""
    text = ("function () { return \"a\" + '\\\\' }\n" * 5000) + "HERE" + ("x" * 100_000)
    value = entry("http://h/script.js")
    value["request"] |= {"postData": {"text": text}} if member == "request" else {}
    value["response"] = {"status": 200, "content": {"text": text if member == "response" else "", "size": 1}}
    array = json.dumps([value, value], indent=indent).encode().replace(b"HERE", b"\0")
    reader, start = EntryReader(memoryview(array), wanted), array.index(b"{")
    found = reader.entry_at(start)
    assert found is not None
    assert found[0] == "http://h/script.js"
    assert array[found[1] :].strip().startswith(b",")
    assert EntryReader(memoryview(array), lambda url: True).entry_at(start) is None
