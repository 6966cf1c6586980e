"""Many texts are found as one after the other would find them, and long ones as fast as short ones."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

import dfrecord
from dfrecord.normalise.sought import Place, Sought
from tests.recording.test_hostile import entry, har

letters = st.text("ab", min_size=1, max_size=9).map(str.encode)


def one_by_one(texts: frozenset[bytes], after: bytes, content: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(content):
        standing = [text for text in texts if content.startswith(text, at)]
        ended = [text for text in standing if re.compile(after).match(content, at + len(text))]
        if ended:
            found.append((at, max(ended, key=len)))
        at += max((len(text) for text in ended), default=1)
    return found


@given(
    texts=st.frozensets(letters, max_size=9),
    content=st.text("ab", max_size=60).map(str.encode),
    after=st.sampled_from([b"", b"(?=b|$)"]),
    longest=st.sampled_from([3, 5, 1000]),
    last=st.sampled_from([1, 2, 16]),
    deepest=st.sampled_from([1, 2, 40]),
)
def test_the_longest_text_at_each_place_is_found(
    texts: frozenset[bytes], content: bytes, after: bytes, longest: int, last: int, deepest: int
) -> None:
    with patch.multiple("dfrecord.normalise.sought", _LONGEST=longest, _LAST=last, _DEEPEST=deepest):
        sought = Sought([Place(frozenset()), Place(texts, b"", after)])
        assert list(sought.in_content(content)) == one_by_one(texts, after, content)


@given(
    anywhere=st.frozensets(letters, min_size=1, max_size=9),
    behind=st.frozensets(letters, min_size=1, max_size=4),
    content=st.text("ab", max_size=60).map(str.encode),
    last=st.sampled_from([1, 2, 16]),
)
def test_a_text_behind_another_is_not_hidden_by_one_that_only_begins_there(
    anywhere: frozenset[bytes], behind: frozenset[bytes], content: bytes, last: int
) -> None:
    with patch.multiple("dfrecord.normalise.sought", _LAST=last):
        sought = Sought([Place(anywhere), Place(behind, b"a"), Place(behind, b"ba", b"(?=b)")])
        expected, at = [], 0
        while at < len(content):
            places = [(anywhere, b"", b""), (behind, b"a", b""), (behind, b"ba", b"b")]
            for texts, before, after in places:
                standing = [text for text in texts if content.startswith(before + text + after, at)]
                if standing:
                    expected.append((at + len(before), max(standing, key=len)))
                    at = expected[-1][0] + len(expected[-1][1])
                    break
            else:
                at += 1
        assert list(sought.in_content(content)) == expected


def test_texts_that_each_begin_with_the_one_before_are_no_deep_pattern() -> None:
    texts = frozenset(b"x" * length for length in range(6, 3000))
    assert list(Sought([Place(texts)]).in_content(b"x" * 3004)) == [(0, b"x" * 2999)]


def test_very_long_secrets_are_replaced_in_seconds(tmp_path: Path) -> None:
    """It took a minute for one of 20,000 characters, and four times as long for each doubling."""
    secret = "Qq7-" * 100_000
    body = f'{{"resource": [{{"name": "a", "password": "{secret}", "description": "it was {secret}."}}]}}'
    path = tmp_path / "long.har"
    path.write_bytes(har(entry(sent=body, kind="application/json")))
    journey = dfrecord.plan(dfrecord.read(path))
    assert secret in journey.secrets
    assert b"Qq7-Qq7-" not in dfrecord.render(journey, "curl")[0].content
