"""`dfrecord report`: the page in a real Chromium. What it shows, copies and says, by mouse and by keys."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect

import dfrecord as api
from dfrecord.errors import SecretInOutput
from dfrecord.journey.model import (
    Answer,
    Capture,
    Journey,
    JsonBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.journey.steps import only_steps, parse_steps
from dfrecord.normalise.body import parse_json
from dfrecord.normalise.secrets import find
from dfrecord.recording.exchange import ABSENT, Exchange, Headers, Recording, Request, Response
from dfrecord.renderers.fragments import fragments, laid_out
from dfrecord.renderers.python_encoder import PythonEncoder
from dfrecord.reporting import html_encoder
from dfrecord.reporting.page import LONGEST_TEXT, report
from dfrecord.system_api.catalog import load
from dfrecord.tree import Array, Number, Object, Text, Var
from tests.render.journeys import HOSTILE, PROVISION, literal, raw_step
from tests.report.chromium import chromium, opened
from tests.tools import FIXTURES, ROOT, dfrecord

TENANT = FIXTURES / "02-provision-tenant" / "recording.har"
MESSY = FIXTURES / "06-messy" / "recording.har"
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>--></script><!--\u2028\u202egpj'\"`&amp;{{7*7}}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("report") / "messy.html"
    dfrecord("report", MESSY, "-o", page)
    return page


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("report") / "tenant.html"
    dfrecord("report", TENANT, "-o", page)
    return page


def clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


def page_of(journey: Journey, folder: Path) -> Path:
    file = folder / "page.html"
    file.write_bytes(report(Recording("x.har", ()), journey))
    return file


# ---------------------------------------------------------------- what it shows


def test_every_call_is_in_the_timeline_and_dropped_ones_open_with_their_reasons(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        assert page.locator("li.step").count() == 8
        for fold in page.locator(".gap-head").all():
            fold.click()
        numbers = [int(text) for text in page.locator(".calls .number").all_text_contents()]
        journey = api.plan(api.read(MESSY))
        assert sorted(numbers + [step.entry for step in journey.steps if step.entry is not None]) == list(range(897))
        assert all(page.locator(".calls .why").all_text_contents())
        expect(page.locator("#lede")).to_contain_text("8 steps from 897 calls")


def test_a_step_shows_what_it_sends_uses_and_makes_and_its_answer(browser: Browser, tenant: Path) -> None:
    with opened(browser, tenant) as page:
        page.click("#step-3 .head")
        step = page.locator("#step-3")
        expect(step.locator(".flow")).to_contain_text("service_id ← step 2")
        expect(step.locator(".request pre")).to_contain_text('"service_id": service_id')
        expect(step.locator(".answer .facts")).to_contain_text("201 Created")
        expect(step.locator(".answer pre")).to_contain_text('"name": "acme-role"')
        step.locator("a.variable").first.click()
        expect(page.locator("#step-2 .head")).to_be_focused()
        expect(page.locator("#step-2 .head")).to_have_attribute("aria-expanded", "true")


def test_secrets_are_masked(browser: Browser, tenant: Path) -> None:
    with opened(browser, tenant) as page:
        page.click("#step-1 .head")
        expect(page.locator("#step-1 .answer .secret").first).to_have_text("••• session token")
        assert "DFSECRET" not in page.inner_text("#step-1")


def test_the_graph_links_steps_and_looked_up_records(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        names = page.locator("#drawing .node title").all_text_contents()
        assert "Step 3: Create role temp-role" in names
        assert "Looked up on the target: service legacy_rws" in names
        assert page.locator("#drawing .edge title").all_text_contents().count("temp_role_id") == 1
        page.locator("#drawing .node", has_text="4 ").click()
        expect(page.locator("#step-4 .head")).to_be_focused()


def test_colours_follow_the_system_and_the_button(browser: Browser, tenant: Path) -> None:
    with opened(browser, tenant, color_scheme="dark") as page:
        background = "getComputedStyle(document.documentElement).backgroundColor"
        dark = page.evaluate(background)
        page.click("#theme")
        light = page.evaluate(background)
        assert light != dark
        page.emulate_media(color_scheme="light")
        page.click("#theme")
        assert page.evaluate(background) == dark
        page.click("#theme")
        assert page.evaluate(background) == light


def test_paper_shows_every_step_open_and_no_controls(browser: Browser, tenant: Path) -> None:
    with opened(browser, tenant, viewport={"width": 794, "height": 1123}) as page:
        page.emulate_media(media="print")
        expect(page.locator("#step-4 .forms pre")).to_be_visible()
        expect(page.locator(".bar")).to_be_hidden()
        edges = "[...document.querySelectorAll('body *')].map(e => e.getBoundingClientRect().right)"
        assert max(page.evaluate(edges)) <= 795
        paper = page.pdf(format="A4")
        assert len(re.findall(rb"/Type /Page\b", paper)) >= 6  # what follows a long answer is there, too


def test_a_narrow_window_needs_no_sideways_scrolling(browser: Browser, messy: Path) -> None:
    with opened(browser, messy, viewport={"width": 360, "height": 700}) as page:
        page.click("#step-2 .head")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# ---------------------------------------------------------------- the forms


def test_each_form_is_shown_and_copied_as_it_is(browser: Browser, tenant: Path) -> None:
    journey = api.plan(api.read(TENANT))
    made = list(fragments(journey))[2]
    with opened(browser, tenant) as page:
        page.click("#step-3 .head")
        copy = page.locator("#step-3 .copy")
        copy.click()
        expect(page.locator("#said")).to_have_text("Copied step 3")
        assert clipboard(page) == made.curl
        page.get_by_role("tab", name="Python").click()
        copy.click()
        assert clipboard(page) == made.python
        assert ast.parse(clipboard(page))
        page.keyboard.press("Tab")
        page.get_by_role("tab", name="Python").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Postman")).to_be_focused()
        copy.click()
        assert json.loads(clipboard(page)) == made.postman


def test_one_choice_changes_the_form_of_all_steps_and_of_the_command(browser: Browser, tenant: Path) -> None:
    with opened(browser, tenant) as page:
        page.click("#all")
        page.get_by_role("radio", name="Python").click()
        shown = page.locator(".forms pre").all_text_contents()
        assert len(shown) == 4
        assert all("df.call(" in text for text in shown)
        expect(page.locator("#command")).to_contain_text("-f python -o recording.py")


@pytest.mark.parametrize("journey", [PROVISION, HOSTILE], ids=["provision", "hostile"])
def test_python_fragments_are_python(journey: Journey) -> None:
    for made in fragments(journey):
        ast.parse(made.python)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=6),
    max_leaves=30,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON_LIKE)
def test_laying_out_a_literal_keeps_its_value(value: object) -> None:
    source = f"f({PythonEncoder({}, {}).tree(parse_json(json.dumps(value)))})"
    assert ast.dump(ast.parse(laid_out(source))) == ast.dump(ast.parse(source))


# ---------------------------------------------------------------- steps to a script


def test_unticking_gives_the_command_that_renders_the_rest(browser: Browser, messy: Path, tmp_path: Path) -> None:
    with opened(browser, messy) as page:
        expect(page.locator("#command")).not_to_contain_text("--steps")
        page.uncheck("#step-3 input")
        page.uncheck("#step-7 input")
        expect(page.locator("#asks")).to_contain_text("DF_TEMP_ROLE_ID (step 3 would give it)")
        page.click("#copy-command")
        command = clipboard(page)
    assert command == f"dfrecord render {MESSY} -f curl -o recording.sh --steps 1-2,4-6,8"
    python = f"{shlex.quote(sys.executable)} -m"
    subprocess.run(["bash", "-c", f"{python} {command}"], cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)})
    assert b"Create role temp-role" not in (tmp_path / "recording.sh").read_bytes().partition(b"\nmain()")[2]
    journey = api.plan(api.read(MESSY))
    asked = only_steps(journey, parse_steps("1-2,4-6,8", 8)).variable("temp_role_id")
    assert asked.env == "DF_TEMP_ROLE_ID"


def test_ticks_can_be_set_all_at_once_and_none_gives_no_command(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        page.click("#tick-none")
        expect(page.locator("#command")).to_have_text("Tick at least one step. ")
        expect(page.locator("#copy-command")).to_be_disabled()
        page.check("#step-2 input")
        expect(page.locator("#command")).to_contain_text("--steps 2")
        page.click("#tick-all")
        expect(page.locator("#command")).not_to_contain_text("--steps")


def test_the_command_has_the_options_the_report_was_made_with(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ("--reads", "all", "--whole-records", "--filter", "api/v2/system", "--parameter", "tenant=ac$me'!")
    har = "-it's a $(test).har"
    (tmp_path / har).write_bytes(TENANT.read_bytes().replace(b"acme-role", b"ac$me'!-role"))
    made = [sys.executable, "-m", "dfrecord", "report", "-o", str(page), *options, "--", har]
    subprocess.run(made, cwd=tmp_path, check=True)
    with opened(browser, page) as shown:
        shown.click("#copy-command")
        command = clipboard(shown)
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, text=True, check=True
    ).stdout.split("\0")[:-1]
    assert words[:3] == ["dfrecord", "render", f"./{har}"]
    assert sorted(words[7:]) == sorted(options)


def test_export_lines_can_be_copied(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        page.click("#copy-exports")
        assert re.findall(r"^export (\w+)=", clipboard(page), re.M) == ["DF_BASE_URL", "DF_EMAIL", "DF_PASSWORD"]


# ---------------------------------------------------------------- search and keys


def test_search_finds_steps_by_what_they_send_and_dropped_calls_by_their_url(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        page.keyboard.press("/")
        expect(page.locator("#search")).to_be_focused()
        page.keyboard.type("robert ross")
        assert [row.get_attribute("id") for row in page.locator("li.step:visible").all()] == ["step-5"]
        page.fill("#search", "script_type error 404")
        assert page.locator("li.step:visible").count() == 0
        page.fill("#search", "event_script 404")
        fold = page.locator(".gap:visible .gap-head").first
        fold.click()
        assert "event_script" in page.locator(".gap:visible .calls").first.inner_text()
        page.focus("#search")
        page.keyboard.press("Escape")
        assert page.locator("li.step:visible").count() == 8
        assert page.input_value("#search") == ""


def test_the_page_is_usable_with_keys_alone(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        for key in ("j", "j", "ArrowDown", "k"):
            page.keyboard.press(key)
        expect(page.locator("#step-2 .head")).to_be_focused()
        assert page.evaluate("document.activeElement.matches(':focus-visible')")
        page.keyboard.press("Enter")
        expect(page.locator("#body-2")).to_be_visible()
        page.keyboard.press("c")
        assert clipboard(page) == list(fragments(api.plan(api.read(MESSY))))[1].curl
        page.keyboard.press("2")
        page.keyboard.press("c")
        expect(page.locator("#said")).to_have_text("Copied step 2")
        assert "df.call(" in clipboard(page)
        page.keyboard.press("x")
        expect(page.locator("#command")).to_contain_text("--steps 1,3-8")
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()


def test_every_control_has_a_name_for_screen_readers(browser: Browser, messy: Path) -> None:
    with opened(browser, messy) as page:
        page.click("#all")
        nameless = page.evaluate(
            """[...document.querySelectorAll("button, input, pre[tabindex], [role=tablist], [role=radiogroup]")]
            .filter(e => !e.ariaLabel && !e.hasAttribute("aria-labelledby") && !e.textContent.trim()).length"""
        )
        assert nameless == 0
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(set(ids)) == len(ids)


# ---------------------------------------------------------------- hostile recordings


def hostile() -> Journey:
    """A journey with markup in every recorded text."""
    record = JsonBody(Object((("resource", Array((Object(((NASTY, NASTY), ("role_id", Var("role_id")))),))),)))
    steps = [
        Step(
            f"create_{number}",
            NASTY,
            StepKind.CREATE,
            RequestTemplate("POST", Text((f"/api/{NASTY}",)), (("X-Odd", Text((NASTY,))),), record if number else None),
            captures=() if number else (Capture("role_id", ("id",)),),
            answer=Answer(200, NASTY, "text/html", NASTY, None),
            danger=NASTY,
            notes=(NASTY,),
        )
        for number in range(2)
    ]
    variable = Variable("role_id", VariableKind.CAPTURE, type="integer", description=NASTY)
    given = Variable("name", VariableKind.PARAMETER, env="DF_NAME", default=NASTY, description=NASTY)
    residue = (Residue(ResidueKind.RISKY, NASTY, subject=NASTY), Residue(ResidueKind.DROPPED, NASTY, 0, subject=NASTY))
    journey = literal(*steps, variables=(variable, given))
    return replace(journey, title=NASTY, source=NASTY, residue=residue, literal=False)


def test_hostile_text_is_shown_as_text_everywhere(browser: Browser, tmp_path: Path) -> None:
    exchange = Exchange(0, Request("<b>GET</b>", f"http://x/{NASTY}", Headers(), ABSENT), Response(200))
    file = tmp_path / "page.html"
    file.write_bytes(report(Recording(NASTY, (exchange,)), hostile(), [NASTY]))
    with opened(browser, file) as page:
        page.click("#all")
        for fold in page.locator(".gap-head").all():
            fold.click()
        for name in ("Python", "Postman", "curl"):
            page.get_by_role("radio", name=name).click()
        assert page.locator("script").count() == 2
        assert page.locator("img").count() == 0
        shown = page.inner_text("body")
        assert "<script>alert(1)</script>" in page.inner_text("h1")
        assert shown.count("<script>alert(1)</script>") >= 10
        assert "\u202e" not in page.evaluate("document.title + document.querySelector('.top, .columns').textContent")
        assert "\\u{202e}" in shown


def test_the_policy_stops_what_gets_in_anyway(browser: Browser, tenant: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(tenant.as_uri())
    added = """() => { const s = document.createElement("script"); try { s.text = "window.hit = 1"; } catch (e) {}
    document.body.append(s); const i = document.createElement("img"); i.src = "http://127.0.0.1:9/x";
    i.onerror = () => { window.blocked = 1; }; document.body.append(i); }"""
    page.evaluate(added)
    page.wait_for_function("window.blocked === 1")
    assert page.evaluate("window.hit") is None
    context.close()


@given(st.text())
def test_data_in_a_script_element_cannot_end_it_and_keeps_its_value(text: str) -> None:
    written = html_encoder.script_json({text: text})
    assert json.loads(written) == {text: text}
    assert not set("<>&\u2028\u2029") & set(written)
    assert not set("<>\"'") & set(html_encoder.text(text))


def test_the_program_writes_no_markup() -> None:
    for file in (ROOT / "templates" / "report").glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", file.read_text()
        )


# ---------------------------------------------------------------- secrets, size, errors


def test_no_recorded_secret_stands_in_the_page(messy: Path, tenant: Path) -> None:
    for recording, page in ((MESSY, messy), (TENANT, tenant)):
        secrets = find(api.read(recording).exchanges, load()).recorded
        content = page.read_text()
        assert len(secrets) > 1
        assert [secret for secret in secrets if secret in content] == []


def test_a_page_that_would_hold_a_secret_is_not_made(tmp_path: Path) -> None:
    step = replace(raw_step("GET", "/api/x"), answer=Answer(200, "", "text/plain", "pw: hunter2hunter2"))
    with pytest.raises(SecretInOutput):
        report(Recording("x", ()), replace(literal(step), secrets=frozenset({"hunter2hunter2"})))


def test_long_bodies_are_shortened_and_say_so(browser: Browser, tmp_path: Path) -> None:
    answer = Answer(200, "OK", "text/plain", "x" * 3_000_000)
    step = replace(raw_step("POST", "/api/x", (), b"y" * 3_000_000), answer=answer)
    file = page_of(literal(step), tmp_path)
    assert file.stat().st_size < 300_000
    with opened(browser, file) as page:
        page.click("#step-1 .head")
        expect(page.locator(".answer .hint")).to_have_text("Shortened: it has 3,000,000 characters.")
        expect(page.locator(".forms .hint")).to_contain_text("dfrecord show --curl 1")
        assert len(page.inner_text(".answer code")) == LONGEST_TEXT


def test_a_recording_without_steps_has_a_page(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, page_of(literal(), tmp_path)) as page:
        expect(page.locator("#timeline")).to_contain_text("No call of this recording is worth doing again.")
        page.keyboard.press("j")
        page.keyboard.press("c")
        page.keyboard.press("x")


def test_numbers_in_answers_are_shown_as_the_server_wrote_them(browser: Browser, tmp_path: Path) -> None:
    tree = Object((("big", Number("12345678901234567890")), ("one", Number("1.0"))))
    step = replace(raw_step("GET", "/api/x"), answer=Answer(200, "OK", "application/json", "{}", tree))
    with opened(browser, page_of(literal(step), tmp_path)) as page:
        page.click("#step-1 .head")
        assert "12345678901234567890" in page.inner_text(".answer code")
        assert "1.0" in page.inner_text(".answer code")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 2000 steps, each of which uses what the one before it makes."""
    names = [f"role_{number}_id" for number in range(2000)]
    steps = [
        Step(
            f"create_{number}",
            f"Create thing-{number + 1}",
            StepKind.CREATE,
            RequestTemplate("POST", Text(("/api/x/", Var(names[number - 1]) if number else ""))),
            captures=(Capture(name, ("id",)),),
        )
        for number, name in enumerate(names)
    ]
    variables = tuple(Variable(name, VariableKind.CAPTURE, type="integer") for name in names)
    return page_of(replace(literal(*steps, variables=variables), literal=False), tmp_path_factory.mktemp("large"))


def test_a_large_journey_builds_only_what_is_looked_at(browser: Browser, large: Path) -> None:
    with opened(browser, large) as page:
        assert page.locator("*").count() < 6000
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(page.locator("#step-2000 .head")).to_be_visible()
        page.fill("#search", "thing-1777")
        expect(page.locator("li.step:visible")).to_have_count(1)
        assert [row.get_attribute("id") for row in page.locator("li.step:visible").all()] == ["step-1777"]
        page.uncheck("#step-1777 input")
        expect(page.locator("#command")).to_contain_text("--steps 1-1776,1778-2000")
        page.click("#tick-none")
        page.keyboard.press("Escape")
        page.fill("#search", "thing-99")
        expect(page.locator("li.step:visible")).to_have_count(11)
        shown = [row.get_attribute("id") for row in page.locator("li.step:visible").all()]
        assert shown == [f"step-{number}" for number in (99, *range(990, 1000))]
        assert page.locator("li.step:visible input:checked").count() == 0
        page.focus("#step-99 .head")
        page.keyboard.press("j")
        expect(page.locator("#step-990 .head")).to_be_focused()


def test_a_large_journey_draws_only_the_neighbourhood_of_the_current_step(browser: Browser, large: Path) -> None:
    with opened(browser, large) as page:
        expect(page.locator("#graph-note")).to_contain_text("Around step 1: 3 of 2,000")
        page.goto(f"{large.as_uri()}#step-1500")
        page.reload()
        expect(page.locator("#step-1500 .head")).to_be_focused()
        expect(page.locator("#graph-note")).to_contain_text("Around step 1500: 5 of 2,000")
        assert page.locator("#drawing .node").count() == 5
        page.locator("#drawing .node").last.click()
        expect(page.locator("#step-1502 .head")).to_be_focused()


def test_wrong_use_is_one_clear_line(tmp_path: Path) -> None:
    copy = tmp_path / "a.har"
    copy.write_bytes(TENANT.read_bytes())
    for arguments in (("-o", copy), ("-o", tmp_path / "x.html", "--upsert"), ("-o", "/nowhere/at/all.html"), ()):
        done = dfrecord("report", copy, *arguments, code=2)
        assert done.stderr.decode().count("\n") == 1
    assert copy.read_bytes() == TENANT.read_bytes()


def test_standard_input_and_output_and_the_same_bytes_each_time(tenant: Path) -> None:
    again = dfrecord("report", TENANT, "-o", "-").stdout
    assert again == tenant.read_bytes()
    assert dfrecord("report", "-", "-o", "-", stdin=TENANT.read_bytes()).stdout.startswith(b"<!doctype html>")
