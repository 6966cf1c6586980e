"""What single programs write in another way than the others."""

from __future__ import annotations

import base64

import pytest

from dfrecord.recording.exchange import Body, BodyState
from tests.recording.hars import entry, har_bytes, headers, read_bytes, read_entry


@pytest.mark.parametrize("encoding", ["BASE64", " base64 ", "identity", "none", "plain", "text", "", None])
def test_an_encoding_is_understood_however_it_is_written(encoding: str | None) -> None:
    text = base64.b64encode(b"{}").decode() if "base64" in (encoding or "").lower() else "{}"
    exchange = read_entry(entry(response={"content": {"size": 2, "text": text, "encoding": encoding}}), "Fiddler")
    assert exchange.response.body == Body.recorded(b"{}")


@pytest.mark.parametrize("method", ["post", "Patch", "DELETE", "purge"])
def test_a_method_is_the_one_that_servers_understand(method: str) -> None:
    assert read_entry(entry(method=method)).request.method == (method if method == "purge" else method.upper())


@pytest.mark.parametrize("length", [None, 13, 99])
def test_json_that_a_program_took_for_the_name_of_a_parameter_is_the_body(length: int | None) -> None:
    params = [{"name": '{"name": "r"}', "value": ""}]
    sent = headers(Content_Length=str(length)) if length else []
    request = {"postData": {"mimeType": "application/json", "params": params}, "headers": sent}
    body = read_entry(entry(method="POST", request=request), "Fiddler").request.body
    assert body == (Body(BodyState.NOT_RECORDED) if length == 99 else Body.recorded(b'{"name": "r"}'))


def test_a_body_that_is_written_without_the_object_around_it_is_read() -> None:
    exchange = read_entry(entry(method="POST", request={"postData": '{"a": 1}'}, response={"content": "[]"}))
    assert (exchange.request.body, exchange.response.body) == (Body.recorded(b'{"a": 1}'), Body.recorded(b"[]"))


@pytest.mark.parametrize("body", [{"text": {"a": 1}}, {"text": 5, "encoding": "base64"}, [1]])
def test_a_body_that_is_no_text_is_told(body: object) -> None:
    recording = read_bytes(har_bytes(entry(method="POST", request={"postData": body}, response={"content": body})))
    [exchange] = recording.exchanges
    assert (exchange.request.body, exchange.response.body) == (Body(BodyState.NOT_RECORDED),) * 2
    assert "it does not stand there as text" in " ".join(recording.notes)
