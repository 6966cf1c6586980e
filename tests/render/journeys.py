"""Journeys made by hand, for testing the renderers without the stages before them."""

from __future__ import annotations

from dataclasses import replace

from dfrecord.journey.model import (
    Answer,
    Capture,
    Journey,
    JsonBody,
    Lookup,
    RawBody,
    RequestTemplate,
    Residue,
    ResidueKind,
    Step,
    StepKind,
    Variable,
    VariableKind,
)
from dfrecord.tree import Array, Encoding, Number, Object, Text, Tree, Var

TOKEN = ("X-DreamFactory-Session-Token", Text((Var("session_token"),)))
JSON = ("Content-Type", Text(("application/json",)))
ACCEPT = ("Accept", Text(("application/json",)))

BASE_URL = Variable("base_url", VariableKind.PARAMETER, env="DF_BASE_URL", required=True, description="the target")
EMAIL = Variable("email", VariableKind.PARAMETER, env="DF_EMAIL", required=True, description="who logs in")
PASSWORD = Variable("password", VariableKind.SECRET, env="DF_PASSWORD", secret=True, required=True)
SESSION_TOKEN = Variable("session_token", VariableKind.CAPTURE, env="DF_SESSION_TOKEN", secret=True)

LOGIN = Step(
    name="log_in",
    title="Log in as an administrator",
    kind=StepKind.LOGIN,
    request=RequestTemplate(
        "POST",
        Text(("/api/v2/system/admin/session",)),
        (ACCEPT, JSON),
        JsonBody(Object((("email", Var("email")), ("password", Var("password"))))),
    ),
    captures=(Capture("session_token", ("session_token",)),),
    entry=23,
)
LOGOUT = Step(
    name="log_out",
    title="Log out",
    kind=StepKind.LOGOUT,
    request=RequestTemplate("DELETE", Text(("/api/v2/system/admin/session",)), (ACCEPT, TOKEN)),
    entry=102,
)


def record(*members: tuple[str, Tree]) -> JsonBody:
    """A create body of one record."""
    return JsonBody(Object((("resource", Array((Object(members),))),)))


PROVISION = Journey(
    name="provision_tenant",
    title="provision tenant",
    source="02-provision-tenant.har",
    steps=(
        LOGIN,
        Step(
            name="create_role",
            title="Create role acme-role",
            kind=StepKind.CREATE,
            resource="role",
            request=RequestTemplate(
                "POST",
                Text(("/api/v2/system/role?fields=*&related=role_service_access_by_role_id",)),
                (ACCEPT, JSON, TOKEN),
                record(
                    ("name", "acme-role"),
                    ("is_active", True),
                    ("description", None),
                    (
                        "role_service_access_by_role_id",
                        Array(
                            (
                                Object(
                                    (
                                        ("service_id", Var("service_id")),
                                        ("component", "*"),
                                        ("verb_mask", Number("3")),
                                        ("filters", Array(())),
                                    )
                                ),
                            )
                        ),
                    ),
                ),
            ),
            captures=(Capture("role_id", ("resource", 0, "id")),),
            answer=Answer(201, "Created", "application/json", '{"resource":[{"id":1,"name":"acme-role"}]}'),
            entry=88,
        ),
        Step(
            name="create_user",
            title="Create user grace@example.com",
            kind=StepKind.CREATE,
            resource="user",
            request=RequestTemplate(
                "POST",
                Text(("/api/v2/system/user?send_invite=false",)),
                (ACCEPT, JSON, TOKEN),
                record(
                    ("email", "grace@example.com"),
                    ("name", "Grace"),
                    ("password", Var("user_password")),
                    ("phone", Text(("role ", Var("role_id"), "!"))),
                ),
            ),
            captures=(Capture("user_id", ("resource", 0, "id")),),
            entry=89,
        ),
        Step(
            name="update_role",
            title="Update role acme-role",
            kind=StepKind.UPDATE,
            resource="role",
            request=RequestTemplate(
                "PUT",
                Text(("/api/v2/system/role/", Var("role_id", Encoding.URI))),
                (ACCEPT, JSON, TOKEN),
                JsonBody(Object((("description", "changed"),))),
            ),
            notes=("left out: created_date (made by the server)",),
            entry=90,
        ),
        LOGOUT,
    ),
    variables=(
        BASE_URL,
        EMAIL,
        PASSWORD,
        SESSION_TOKEN,
        Variable("user_password", VariableKind.SECRET, env="DF_USER_PASSWORD", secret=True, required=True),
        Variable(
            "service_id",
            VariableKind.LOOKUP,
            type="integer",
            lookup=Lookup(
                resource="service",
                path=Text(("/api/v2/system/service",)),
                rows=("resource",),
                match=(("name", "db"),),
                pick="id",
                title="Find service db",
                headers=(ACCEPT, TOKEN),
            ),
        ),
        Variable("role_id", VariableKind.CAPTURE, type="integer"),
        Variable("user_id", VariableKind.CAPTURE, type="integer"),
    ),
    residue=(Residue(ResidueKind.DROPPED, "read that only fed the screen", entry=99),),
    entry_count=134,
)
"""Runs against a fresh DreamFactoryDouble: login, lookup of the seeded service db, two creates, one with a secret,
update by captured id, logout."""

_NASTY = "'\"`$(touch CANARY)${IFS}{{base_url}}{% raw %}{{ 7*7 }}\\ \n\r\t*/ --> <script> # \u2028 ä漢😀 @file -x %s !!"


def literal(*steps: Step, variables: tuple[Variable, ...] = ()) -> Journey:
    """A literal journey of these steps, with only the base URL (and `variables`) to fill in."""
    return Journey(
        name="literal",
        title="literal",
        source="x.har",
        steps=steps,
        variables=(BASE_URL, *variables),
        entry_count=len(steps),
        literal=True,
    )


def raw_step(
    method: str, target: str, headers: tuple[tuple[str, str], ...] = (), body: bytes | None = None, title: str = "step"
) -> Step:
    """A step that sends exactly this."""
    return Step(
        name="step",
        title=title,
        kind=StepKind.CALL,
        request=RequestTemplate(
            method,
            Text((target,)),
            tuple((name, Text((value,))) for name, value in headers),
            None if body is None else RawBody((body,) if body else ()),
        ),
    )


HOSTILE = literal(
    *(
        replace(step, name=f"step_{number}")
        for number, step in enumerate(
            [
                raw_step(
                    "POST",
                    "/api/v2/system/role?a=1&a=2&plus=x+y&empty&lower=%c3%a9&q=%22$(touch%20CANARY)",
                    (
                        ("Content-Type", "application/json"),
                        ("X-Twice", "1"),
                        ("X-Twice", "2"),
                    ),
                    b'{"a":1,"a":2,"big":12345678901234567890,"f":1.0,"e":1e400}\n',
                    title=_NASTY,
                ),
                raw_step(
                    "DELETE", "/api/v2/system/role", (("Content-Type", "application/json"),), b'{"resource":[{"id":1}]}'
                ),
                raw_step("POST", "/api/v2/system/x", (("Content-Type", "text/plain"),), b"@/etc/passwd"),
                raw_step("POST", "/api/v2/system/x", (("Content-Type", "text/plain"),), b""),
                raw_step("POST", "/api/v2/system/x"),
                raw_step("PATCH", "/api/v2/system/x/../y/./z//w", (("Content-Type", "text/plain"),), _NASTY.encode()),
                raw_step(
                    "PUT",
                    "/api/v2/system/x?[1]{2}~%7E%2F'!()*;,",
                    (("X-Odd", "a'b\"c`d$(e)\\"),),
                    b'\x00\x01\x02\xff\xfe\r\n"trailing\n\n',
                ),
                raw_step(
                    "POST",
                    "/api/v2/system/package",
                    (("Content-Type", "multipart/form-data; boundary=----B"),),
                    b'------B\r\nContent-Disposition: form-data; name="files"; filename="b\xc3\xafn.bin"\r\n\r\n'
                    b"\x00\xff\xfe\r\n------B--\r\n",
                ),
            ]
        )
    )
)
"""What must arrive byte for byte: method, target, body, and the headers given."""
