"""The JSON that dfrecord prints, against the schemas that docs/ publishes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from tests.tools import ROOT


def assert_published_form(account: Any, name: str) -> None:
    """Fails unless `docs/NAME.schema.json` describes the account and each of its members."""
    schema = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(_strict(schema)).validate(account)
    assert account["format"] == schema["title"] == f"dfrecord-{name}/1"


def _strict(schema: Any) -> Any:
    """The schema without room for members it does not know."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {**{key: _strict(value) for key, value in schema.items()}, **closed}
