"""The server's error answers, in the shapes that were recorded.

`RestError` is the `{"error": {"code", "context", "message", "status_code"}}` answer, `SqlError` a database failure
(no `context`, a string `code`), `BatchError` the 400/1000 answer of a bulk call, `HtmlError` the framework's own 500
page. Facts: system-api.md sections 5 and 10; fixtures 06-messy (duplicate role, missing resource) and 01-create-user
(no session).
"""

from __future__ import annotations

from html.entities import codepoint2name
from typing import Any

BATCH_ERROR_CODE = 1000


def htmlentities(text: str) -> str:
    """PHP's `htmlentities` as recorded: double quotes and named characters become entities, single quotes stay."""
    return "".join(f"&{codepoint2name[ord(char)]};" if ord(char) in codepoint2name else char for char in text)


class ServerError(Exception):
    """Any failure that the server answers; `status` is what it answers alone, `inner()` its place inside a batch."""

    status = 500

    def inner(self) -> dict[str, Any]:
        raise NotImplementedError


class RestError(ServerError):
    def __init__(self, status: int, message: str, context: Any = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.context = context
        self.code = status if code is None else code

    def inner(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "context": self.context,
            "message": htmlentities(self.message),
            "status_code": self.status,
        }


class SqlError(ServerError):
    """A failed SQL statement (fixture 06-messy, the duplicate role): code "23000" and the statement with its values."""

    def __init__(self, reason: str, statement: str, code: str = "23000") -> None:
        self.code = code
        self.message = (
            f"SQLSTATE[{code}]: Integrity constraint violation: 19 {reason} (Connection: sqlite, SQL: {statement})"
            if code == "23000"
            else f"SQLSTATE[{code}]: General error: 1 {reason} (Connection: sqlite, SQL: {statement})"
        )
        super().__init__(self.message)

    def inner(self) -> dict[str, Any]:
        return {"code": self.code, "message": htmlentities(self.message)}


class BatchError(RestError):
    """The answer of a bulk call of which some records failed; `outcomes`: per record tried, a value or an error."""

    def __init__(self, message: str, outcomes: list[Any]) -> None:
        failed = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, ServerError)]
        shown = [outcome.inner() if isinstance(outcome, ServerError) else outcome for outcome in outcomes]
        super().__init__(400, message, {"error": failed, "resource": shown}, BATCH_ERROR_CODE)


class HtmlError(ServerError):
    """The framework's 500 page, where a wrong body type is not caught by DreamFactory (section 10)."""

    PAGE = "<!DOCTYPE html>\n<html><head><title>Server Error</title></head><body>500 | Server Error</body></html>\n"


def invalid(field: str, text: str) -> RestError:
    return RestError(400, f"Invalid data supplied. {text}", {field: [text]})


def not_found(identifier: object) -> RestError:
    return RestError(404, f"Record with identifier '{identifier}' not found.")
