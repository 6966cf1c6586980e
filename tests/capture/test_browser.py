"""A real Chromium works in a console through `dfrecord record`; what was recorded works on another instance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.capture.console import BIG, VERSION, Console, self_signed
from tests.capture.tools import Recording, browsing, headless_browser
from tests.doubles.server import DreamFactoryDouble
from tests.tools import dfrecord, rendered, run

MODES = ("reverse", "browser", "proxy")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("mode", MODES)
def test_what_chromium_does_is_recorded_and_works_on_another_instance(mode: str, scheme: str, tmp_path: Path) -> None:
    certificate, ca = self_signed(tmp_path)
    output = tmp_path / "tenant.har"
    trust: list[str | Path] = ["--ca-file", ca] if scheme == "https" else []
    with DreamFactoryDouble() as double, Console(double, certificate if scheme == "https" else None) as console:
        report = _work(console, mode, output, ["--mode", mode, *trust], tmp_path)
        role = next(row for row in double.state()["role"] if row["name"] == "acme-role")
    # Neither side saw anything but its own names, and what is long or short came through whole.
    assert (report["bytes"], report["version"]) == (len(BIG), VERSION.decode())
    assert role["description"] == f"{console.origin}/about?changed"
    assert {head["host"] for _, head in console.heads} == {console.origin.partition("://")[2]}
    assert {head["origin"] for _, head in console.heads if "origin" in head} == {console.origin}
    if mode == "reverse":
        assert report["cookie"] == "visit=1"
        assert report["description"] == f"{report['at']}/about"
    _check_recording(output, console, double)
    _check_replay(output, tmp_path)


def _work(console: Console, mode: str, output: Path, options: list[str | Path], folder: Path) -> dict[str, object]:
    if mode == "browser":
        options += ["--browser", headless_browser(folder)]
    with Recording(f"{console.origin}/", output, *options, home=folder) as recording:
        if mode == "browser":
            report = console.report()
        else:
            through_proxy = [f"--proxy-server=http://{recording.address}", "--proxy-bypass-list=<-loopback>"]
            url = f"http://{recording.address}/" if mode == "reverse" else f"{console.origin}/"
            # The user of proxy mode trusts the certificate by hand; a headless browser is told so.
            flags = [*through_proxy, "--ignore-certificate-errors"] if mode == "proxy" else []
            with browsing(url, folder / "profile", *flags):
                report = console.report()
        told = recording.end()
    for line in ("create role acme-role → ", "update role acme-role", "delete role passing-role", "8 calls recorded"):
        assert line in told
    assert f"dfrecord render {output} -f python" in told
    return report


def _check_recording(output: Path, console: Console, double: DreamFactoryDouble) -> None:
    text = output.read_text()
    requests = [entry["request"] for entry in json.loads(text)["log"]["entries"]]
    assert all(request["url"].startswith(f"{console.origin}/api/v2/") for request in requests)
    token = next(value for head in console.heads if (value := head[1].get("x-dreamfactory-session-token")))
    assert double.password not in text
    assert token not in text
    role = next(r for r in requests if r["method"] == "POST" and r["url"].endswith("system/role"))
    assert f"{console.origin}/about" in json.loads(role["postData"]["text"])["resource"][0]["description"]
    assert not [path for path in output.parent.iterdir() if path.name.startswith(f".{output.name}")]


def _check_replay(output: Path, folder: Path) -> None:
    titles = [step["title"] for step in json.loads(dfrecord("show", output, "--json").stdout)["steps"]]
    assert titles[:2] == ["Log in as an administrator", "Create role acme-role"]
    with DreamFactoryDouble(id_offset=100) as other:
        script = rendered(output, "python", folder)
        account = {"DF_BASE_URL": other.url, "DF_EMAIL": other.email, "DF_PASSWORD": other.password}
        done = run(script, "python", account)
        assert done.returncode == 0, done.stderr
        state = other.state()
    roles = {row["name"]: row for row in state["role"]}
    assert "passing-role" not in roles
    assert roles["acme-role"]["description"].endswith("/about?changed")
    assert {row["name"]: row for row in state["app"]}["acme-app"]["role_id"] == roles["acme-role"]["id"]
