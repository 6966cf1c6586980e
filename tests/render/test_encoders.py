"""Property tests of each language's encoder by execution: whatever text stands anywhere, it arrives as it is."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dfrecord
from dfrecord.journey.model import (
    Journey,
    JsonBody,
    RawBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.outputs import write_script
from dfrecord.tree import Object, Text, Var
from tests.doubles.echo import EchoServer
from tests.render.journeys import BASE_URL, JSON, raw_step
from tests.tools import FORMATS, run

SEEDS = [
    "$(touch CANARY)",
    "`touch CANARY`",
    "{{base_url}}",
    "{{$guid}}",
    "{% raw %}",
    "*/",
    '"""',
    "'''",
    "-->",
    "${IFS}",
]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.lists(
        st.sampled_from([*SEEDS, "\\", "'", '"', "\n", "\r", "\t", "%s", "@x", "-n", "!", " ", "\u2028"]), max_size=6
    ).map("".join),
)
secret_texts = texts.filter(lambda value: value.strip() != "" and "\0" not in value)


def journey_of(values: list[str], blobs: list[bytes]) -> Journey:
    steps = [
        replace(
            raw_step("POST", "/api/x", (("Content-Type", "text/plain"),), value.encode(), title=value),
            name=f"raw_{n}",
            notes=(value,),
        )
        for n, value in enumerate(values)
    ]
    steps += [
        Step(
            f"json_{n}",
            value,
            StepKind.CALL,
            RequestTemplate(
                "POST", Text(("/api/y",)), (JSON,), JsonBody(Object(((value, value), ("s", Var("secret")))))
            ),
        )
        for n, value in enumerate(values)
    ]
    steps += [
        Step(
            f"blob_{n}",
            "blob",
            StepKind.CALL,
            RequestTemplate("PUT", Text(("/api/z",)), (), RawBody((blob,) if blob else ())),
        )
        for n, blob in enumerate(blobs)
    ]
    return Journey(
        name="property",
        title=" ".join(values),
        source=" ".join(values),
        steps=tuple(steps),
        variables=(BASE_URL, Variable("secret", VariableKind.SECRET, env="DF_SECRET", secret=True, required=True)),
        residue=tuple(Residue(ResidueKind.RISKY, value, subject=value) for value in values),
    )


@pytest.mark.parametrize("format", [format for format in FORMATS if format != "ansible"])  # see test_ansible.py
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    values=st.lists(texts, min_size=20, max_size=40),
    blobs=st.lists(st.binary(max_size=40), min_size=5, max_size=10),
    secret=secret_texts,
)
def test_everything_arrives_and_nothing_runs(format: str, values: list[str], blobs: list[bytes], secret: str) -> None:
    with tempfile.TemporaryDirectory() as folder, EchoServer() as echo:
        script = Path(folder) / FORMATS[format]
        write_script(dfrecord.render(journey_of(values, blobs), format, stem=script.stem), script)
        done = run(script, format, {"DF_BASE_URL": echo.url, "DF_SECRET": secret})
        assert done.returncode == 0, done.stdout + done.stderr
        bodies = [received.body for received in echo.received]
        assert bodies[: len(values)] == [value.encode() for value in values]
        for body, value in zip(bodies[len(values) : 2 * len(values)], values, strict=True):
            assert json.loads(body) == ({value: value, "s": secret} if value != "s" else {"s": secret})
        assert bodies[2 * len(values) :] == blobs
        assert not list(Path(folder).rglob("CANARY"))
