"""Places and forms in which a secret may stand that nothing but its name, or what stands around it, gives away."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from html.entities import codepoint2name
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from msgspec.structs import replace

import dfrecord as api
from dfrecord.capture.live import LiveRecording
from dfrecord.normalise.secrets import content_of, find, redact_exchange
from dfrecord.recording.exchange import ABSENT, Body, Exchange, Headers, Request, Response
from dfrecord.recording.har_writer import har_chunks
from dfrecord.renderers import formats
from dfrecord.system_api.catalog import load
from tests.recording.hars import entry, har_bytes
from tests.test_secrets import attempts, printed

SECRET = "kY07qZ7w-Xp9Lm2"
JSON = "application/json"


def exchange(
    path: str = "system/role",
    body: str = "",
    media_type: str = JSON,
    *,
    method: str = "POST",
    sent: tuple[tuple[str, str], ...] = (),
    response: Response | None = None,
) -> Exchange:
    headers = Headers((*((("Content-Type", media_type),) if body and media_type else ()), *sent))
    content = Body.recorded(body.encode()) if body else ABSENT
    return Exchange(0, Request(method, f"http://h/api/v2/{path}", headers, content), response or Response(200))


def answered(body: str, media_type: str = JSON, status: int = 200, *headers: tuple[str, str]) -> Response:
    fields = Headers((("Content-Type", media_type), *headers))
    return Response(status, fields, Body.recorded(body.encode()))


def service(config: dict[str, object]) -> Exchange:
    return exchange("system/service", json.dumps({"resource": [{"name": "x", "type": "x", "config": config}]}))


def script(content: str) -> Exchange:
    return exchange("system/event_script/x", json.dumps({"content": content, "type": "nodejs"}))


def refused(message: str) -> Exchange:
    return exchange(response=answered(json.dumps({"error": {"message": message}}), JSON, 500))


def part(disposition: str, content: str) -> str:
    return f"--XX\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n--XX--\r\n"


MULTIPART = "multipart/form-data; boundary=XX"
FORM = "application/x-www-form-urlencoded"
XML = "application/xml"
TEXTS = [  # … is the secret
    "const c = {user: 'u', password: '…'};",
    '[db]\npassword = "…"',
    '{\\"password\\": \\"…\\"}',
    '{\\\\\\"password\\\\\\": \\\\\\"…\\\\\\"}',
    "password: &p …\n",
    "password: !!str …\n",
    "password: >-\n  …\n",
    "passwords:\n  - …\n",
    "Password:\n…\n",
    "env:\n- name: DB_PASSWORD\n  value: …\n",
    "environment:\n  - DB_PASSWORD_2=…\n",
    "password = … ; of production\n",
    "//h/:_authToken=…",
    "docker run -e DB_PASSWORD=… x",
    "java -Djavax.net.ssl.keyStorePassword=… -jar x",
    "docker login -u a -p … h",
    "redis-cli -h h -a … ping",
    "ldapsearch -x -w … -b dc=x",
    "unzip -P … x.zip",
    "keytool -list -storepass … -v",
    "openssl rsa -passin pass:… -in x",
    "smbclient //h/x -U u%… -c ls",
    "mongosh -u a -p … h",
    r"net use \\h\x … /user:a",
    r"net use Z: \\h\x … /user:a",
    "snmpwalk -v 2c -c … h",
    "snmp-server community … RO",
    "h:5432:shop:a:…\n",
    "*:*:*:a:…\n",
    "CREATE LOGIN a WITH PASSWORD = N'…'",
    "CREATE USER a IDENTIFIED BY … ACCOUNT UNLOCK",
    "INSERT INTO users (name, password) VALUES ('a', '…')",
    "INSERT INTO users(name,password) VALUES ('a','…')",
    "UPDATE `users` SET `password` = '…' WHERE id=1",
    "client.setPassword('…')",
    'client.setApiKey("…")',
    "HTTPBasicAuth('a', '…')",
    "new mysqli('h', 'u', '…', 'd')",
    "crypto.createHmac('sha256', '…')",
    "jwt.sign(payload, '…')",
    "ConvertTo-SecureString '…' -AsPlainText",
    'headers.set("Authorization", "Bearer " + "…")',
    "url + '?api_key=' + '…'",
    "DriverManager.getConnection(url, 'a', '…')",
    "ftp_login($c,'a','…')",
    "server.login('a', '…')",
    "new PDO('mysql:host=h','root','…')",
    "curl_setopt($c, CURLOPT_USERPWD, 'a:…');",
    "'Basic ' + btoa('a:…')",
    "password := '…'",
    "let password: string = '…';",
    "const PASSWORD = process.env.PASSWORD || '…';",
    "password = f'…'",
    'SECRET_KEY = """…"""',
    "fetch(url, [['X-Api-Key', '…']])",
    '<property name="password">…</property>',
    '<property name="password"><value>…</value></property>',
    "<key>password</key><string>…</string>",
    "Your password has been reset to …",
    "The temporary password is: …",
    "login failed for root:…",
    "ann@example.com:…",
    "license key: …",
    "User: ann, Pass: …",
    "api.key=…\n",
    "curl -b PHPSESSID=… h",
    '<add key="Password" value="…"/>',
    '<add value="…" key="Password"/>',
    '<meta name="csrf-token" content="…">',
    '<wsse:Password Type="text">…</wsse:Password>',
    "git clone https://…@github.example.com/a.git",
    "Cookie: PHPSESSID=…; a=b",
    "Set-Cookie: laravel_session=…; Path=/",
    "Jet OLEDB:Database Password=…;",
    "log in with admin / … please",
    "ann@example.com / …",
    "Passwort: …",
    "Password → …",
    "Password - …",
    "the secret = …",
    "use … as password",
    "the API key for billing is …",
    "Initial password for all users: …",
]
PLACES: dict[str, Exchange] = {
    "user info of a URL": service({"base_url": f"https://u:{SECRET}@x.example.com/"}),
    "user info of a DSN": service({"dsn": f"mongodb://u:{SECRET}@h:27017/db"}),
    "query of a URL": service({"base_url": f"https://x.example.com/?a=1&access_token={SECRET}#x"}),
    "connection string": service({"connection_string": f"Protocol=https;AccountName=a;AccountKey={SECRET};Suffix=x"}),
    "ODBC": service({"dsn": f"odbc:Driver={{SQL Server}};Server=x; PWD={SECRET}; Database=d"}),
    "headers of options": service({"options": {"CURLOPT_HTTPHEADER": [f"Authorization: Bearer {SECRET}"]}}),
    "object of a secret": service({"credentials": {"user": "u", "value": SECRET}}),
    "passwords": service({"passwords": [SECRET]}),
    "YAML in JSON": service({"content": f"user: a\npassword: {SECRET}\n"}),
    "Location": exchange(response=answered("", JSON, 302, ("Location", f"http://h/#/x?session_token={SECRET}"))),
    "Link": exchange(response=answered("", JSON, 200, ("Link", f"<http://u:{SECRET}@h/>; rel=next"))),
    "header of a proxy": exchange(sent=(("X-Original-Url", f"http://h/?token={SECRET}"),)),
    "header Authentication": exchange(sent=(("Authentication", SECRET),)),
    "header Digest": exchange(sent=(("Ocp-Apim-Subscription-Key", SECRET),)),
    "session cookie": exchange(f"system/role?x={SECRET}", sent=(("Cookie", f"laravel_session={SECRET}"),)),
    "cookie set": exchange(response=answered(f'"{SECRET}"', JSON, 200, ("Set-Cookie", f"sid={SECRET}; Path=/"))),
    "signature": exchange(f"system/role?signature={SECRET}"),
    "filter": exchange("system/role?filter=" + quote(f'password="{SECRET}"')),
    "JSON in a query": exchange("system/role?x=" + quote(json.dumps({"password": SECRET}))),
    "URL in a query": exchange("system/role?x=" + quote(f"http://h/?token={SECRET}")),
    "console's URL in a query": exchange("system/role?from=" + quote(f"http://h/dist/#/login?session_token={SECRET}")),
    "custom value": exchange(
        "system/custom", json.dumps({"resource": [{"name": "stripe_secret_key", "value": SECRET}]})
    ),
    "custom value by its name": exchange("system/custom/stripe_secret", json.dumps({"value": SECRET}), method="PUT"),
    "custom value read": exchange("system/custom/api_token", method="GET", response=answered(json.dumps(SECRET))),
    "lookup, private as a number": exchange("system/lookup", json.dumps({"name": "n", "value": SECRET, "private": 1})),
    "lookup, private as text": exchange("system/lookup", json.dumps({"name": "n", "value": SECRET, "private": "true"})),
    "lookup by its name": exchange("system/lookup", json.dumps({"name": "db_password", "value": SECRET})),
    "JSON in a form": exchange(body="payload=" + quote(json.dumps({"password": SECRET})), media_type=FORM),
    "form without a type": exchange(body=f"email=a&password={SECRET}", media_type=""),
    "form as text": exchange(body=f"email=a&password={SECRET}", media_type="text/plain"),
    "form in JSON": exchange(
        "system/scheduler", json.dumps({"resource": [{"name": "s", "payload": f"a=1&password={SECRET}"}]})
    ),
    "attribute": exchange("system/user", f'<user password="{SECRET}" email="a"/>', XML),
    "attribute in apostrophes": exchange("system/user", f"<user password = '{SECRET}'/>", XML),
    "CDATA": exchange("system/user", f"<user><password><![CDATA[{SECRET}]]></password></user>", XML),
    "namespace": exchange("system/user", f"<n:user><n:password>{SECRET}</n:password></n:user>", XML),
    "after a comment": exchange("system/user", f"<user><password><!-- - -->{SECRET}</password></user>", XML),
    "tabs": exchange("system/user", f"email\tpassword\na\t{SECRET}\n", "text/tab-separated-values"),
    "CSV as Windows names it": exchange("system/user", f"email,password\na,{SECRET}\n", "application/vnd.ms-excel"),
    "CSV as bytes": exchange("system/user", f"email,password\na,{SECRET}\n", "application/octet-stream"),
    "YAML": exchange("system/package", f"email: a\npassword: {SECRET}\n", "application/yaml"),
    "no JSON": exchange(body=f"{{'password': '{SECRET}'}}"),
    "part without a type": exchange(body=part('name="config"', json.dumps({"password": SECRET})), media_type=MULTIPART),
    "code of a login": exchange("user/session", json.dumps({"code": SECRET, "state": "x"})),
    "variable of a script": script(f'const apiKey = "{SECRET}";'),
    "header of a script": script(f"get(url, {{headers: {{'Authorization': 'Bearer {SECRET}'}}}});"),
    "PHP": script(f"$options = ['password' => '{SECRET}'];"),
    "error": exchange(response=answered(json.dumps({"error": {"message": f"mysql://root:{SECRET}@db/x"}}), JSON, 400)),
    "row in an error": refused(
        "SQLSTATE[23000]: (SQL: insert into &quot;app&quot; (&quot;name&quot;, &quot;description&quot;, "
        f"&quot;api_key&quot;, &quot;created_date&quot;) values (a, one, two, {SECRET}, 2026-11-23 23:09:33))"
    ),
    "last of a row in an error": refused(f"(SQL: insert into `user` (`name`, `password`) values (a, {SECRET}))"),
    "update in an error": refused(f"(SQL: update `user` set `password` = {SECRET}, `name` = a where `id` = 7)"),
    "curl option": service({"options": {"CURLOPT_USERPWD": f"user:{SECRET}"}}),
    "curl option by its number": service({"options": {"10005": f"user:{SECRET}"}}),
    "scheme of its own in options": service({"options": {"HTTPHEADER": [f"Authorization: Token {SECRET}"]}}),
    "header of options with any name": service({"options": {"10023": [f"X-Acme: {SECRET}"]}}),
    "options as text": service({"options": json.dumps({"auth": SECRET, "x": f"Authorization: Token {SECRET}"})}),
    "options without a name": service({"options": ["u", SECRET]}),
    "option named beside": service({"options": [{"key": "x", "value": f"u {SECRET}"}]}),
    "cookie of options": service({"options": {"10022": f"a={SECRET}; b=2"}}),
    "auth": service({"auth": SECRET, "auth_method": "basic"}),
    "salt": service({"hmacSalt": SECRET}),
    "pin": service({"auth": {"pin": SECRET}}),
    "config in a package": exchange("system/config_package", json.dumps({"services": [{"config": {"otp": SECRET}}]})),
    "key in a URL": service({"base_url": f"https://x.example.com/?key={SECRET}"}),
    "auth in a URL": service({"base_url": f"https://x.example.com/?a=1&auth={SECRET}#x"}),
    "parameters as text": service({"parameters": f"a=b&key={SECRET}"}),
    "parameters by name": service({"parameters": {"auth": SECRET}}),
    "key of a call": exchange(f"system/role?key={SECRET}"),
    "words of an error": refused(f"password {SECRET} is not valid"),
    "quoted in an error": refused(f"The password '{SECRET}' is wrong"),
    "end of an error": refused(f"Access denied (invalid API key: {SECRET})."),
    "words of a description": exchange(
        "system/role", json.dumps({"resource": [{"name": "r", "description": f"the access token is {SECRET}."}]})
    ),
    "shell": script(f"export PASSWORD={SECRET}\n"),
    "inner element": exchange("system/user", f"<password><a/><!--<-->{SECRET}</password>", XML),
    "element in an element": exchange("system/user", f"<password>\n<value>\n{SECRET}\n</value>\n</password>", XML),
    "XML cut off": exchange("system/user", f"<user><name>a</name><password>{SECRET}", XML),
    "cookie without a sense": exchange(f"system/role?x={SECRET}", sent=(("Cookie", f"a={SECRET}"),)),
    "header of a SOAP service": service({"headers": [{"type": "wsse", "name": "password", "data": SECRET}]}),
    "ticket of a SOAP service": service({"headers": [{"type": "generic", "name": "Ticket", "data": SECRET}]}),
    "header of a custom tool": service({"custom_tools": [{"name": "t", "headers": {"X-Acme": SECRET}}]}),
    "parameter of a custom tool": service(
        {"custom_tools": [{"name": "t", "parameters": [{"name": "api_key", "type": "string", "default": SECRET}]}]}
    ),
    "header of a language model": service({"extra_headers": {"X-Acme": SECRET}}),
    "headers of a language model as text": service({"extra_headers": json.dumps({"X-Acme": SECRET})}),
    "parameter of a language model": service({"extra_params": {"acme": SECRET}}),
    "option of a driver": service({"driver_options": {"context": SECRET}}),
    "raw secret of a warehouse": service({"oauth_client_secret_raw": SECRET, "oauth_token_expires_at": "x12345678"}),
    "statement of a database": service({"statements": [f"ALTER USER x IDENTIFIED BY '{SECRET}'"]}),
    "password of a directory": service({"bindpw": SECRET}),
    "shared key": service({"psk": SECRET, "token_endpoint": "https://idp.example.com/oauth2/v12345678"}),
    "code of a single sign-on": exchange("user/session", json.dumps({"service": "g", "params": {"code": SECRET}})),
    "state of a single sign-on": exchange("user/session", json.dumps({"service": "g", "params": {"state": SECRET}})),
    "header of a key": exchange(sent=(("X-Acme-Key", SECRET),)),
    "fragment": exchange(f"system/role#access_token={SECRET}"),
    "second line of settings": exchange("system/package", f"A=1\nDB_PASSWORD={SECRET}\n", "text/plain"),
    "line of settings": exchange("system/package", f"[db]\npassword = {SECRET}\n", "text/plain"),
    "URL in XML": exchange("system/user", f"<user><url>https://u:{SECRET}@h/</url></user>", XML),
    "trace": exchange(
        response=answered(
            json.dumps(
                {"error": {"trace": [f"#0 x.php(70): PDO->__construct('mysql:host=h', 'root', '{SECRET}', [])"]}}
            ),
            JSON,
            500,
        )
    ),
    "trace of a directory": refused(f"#1 x.php: ldap_bind(Resource id #5, 'cn=admin,dc=x', '{SECRET}...')"),
    "words beside a status": exchange(response=Response(400, reason=f"password {SECRET} is wrong")),
    "thin": service({"dsn": f"jdbc:oracle:thin:scott/{SECRET}@//h:1521/x"}),
    "constant of PHP": script(f"define('DB_PASSWORD', '{SECRET}');"),
    "environment of Python": script(f"os.environ['SECRET_KEY'] = '{SECRET}'"),
    "login of Python": script(f"requests.get(url, auth=('u', '{SECRET}'))"),
    "login of curl": script(f"curl -s -u admin:{SECRET} https://h/x"),
    "login of mysql": script(f"mysqldump -uroot -p{SECRET} shop"),
    "environment of a command": script(f"cd /tmp\nPGPASSWORD={SECRET} psql -h x"),
    "function of SQL": refused(f"SET PASSWORD FOR 'x' = PASSWORD('{SECRET}')"),
    "element in a text": script(f"<config><password>{SECRET}</password></config>"),
    "YAML in one line": exchange("system/user", f"resource:\n- {{name: a, password: {SECRET}}}\n", "application/yaml"),
    "percent-encoded twice": exchange("system/role?x=" + quote(quote(f"password={SECRET}&a=1"))),
    "short for password": exchange(body=json.dumps({"name": "r", "description": f"user u, pw {SECRET}"})),
    "code of a link": exchange(f"system/admin/password?reset_code={SECRET}&a=1"),
    **{f"script: {text}": script(text.replace("…", SECRET)) for text in TEXTS},
    **{f"error: {text}": refused(html.escape(text.replace("…", SECRET))) for text in TEXTS},
    **{f"field {name}": service({name: SECRET}) for name in ("authkey", "totp", "p8_pem", "signature", "pass2")},
    **{
        f"column {name}": exchange("system/user", json.dumps({"resource": [{"name": "a", name: SECRET}]}))
        for name in ("password_confirmation", "password2", "otp")
    },
    "name of a member": exchange(body=json.dumps({json.dumps({"password": SECRET}): ""})),
    "name of a member that is null": exchange(body=json.dumps({"x": {f"password={SECRET}": None}})),
    "name in a form": exchange(body=quote(json.dumps({"password": SECRET})) + "=", media_type=FORM),
    "all of a form": exchange(body=quote(json.dumps({"password": SECRET})), media_type=FORM),
    "name in a query": exchange("system/role?" + quote(json.dumps({"password": SECRET}))),
    "all of a query": exchange(f"system/role?password%3D{SECRET}"),
    "segment of a path": exchange(f"system/role;jsessionid={SECRET}?x=1"),
    "multipart without a boundary": exchange(body=part('name="password"', SECRET), media_type="multipart/form-data"),
    "multipart with another boundary": exchange(
        body=part('name="password"', SECRET), media_type="multipart/form-data; boundary=YY"
    ),
    "multipart without a type": exchange(body=part('name="password"', SECRET), media_type=""),
    "multipart, name without quotes": exchange(body=part("name=password", SECRET), media_type=MULTIPART),
    **{
        f"named by {name}": exchange(body=json.dumps({"headers": [{name: "X-Api-Key", "value": SECRET}]}))
        for name in ("key", "field", "id", "param", "parameter", "setting", "header", "variable", "property")
    },
    "named by key in a config": service({"headers": [{"key": "X-Api-Key", "val": SECRET}]}),
    **{
        f"member {name}": exchange("system/custom", json.dumps({name: SECRET}))
        for name in ("signing_key", "hmac_key", "master_key")
    },
    **{
        f"words of a page: {text}": exchange(
            "system/email_template", json.dumps({"body_html": text.replace("…", SECRET)})
        )
        for text in (
            "<p>Password:</p><b>…</b>",
            "Your password is <b>…</b>",
            "<td>Password</td>\n<td>…</td>",
            "<b>Password</b>: …",
            "**Password:** …",
        )
    },
    "page": exchange(response=answered(f'<input type="hidden" name="_token" value="{SECRET}">', "text/html")),
}


BY_FORM = {
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx7\nq8u+/==\n-----END RSA PRIVATE KEY-----",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl",
    "GitHub": "ghp_0123456789abcdefghij0123456789abcdef",
    "Slack": "xoxb-123456789012-abcdefghij",
    "Amazon": "AKIAIOSFODNN7EXAMPLE",
    "Google": "AIza" + "Sy0123456789abcdefghijklmnopqrstuvw",
    "Databricks": "dapi0123456789abcdef0123456789abcdef",
    "model": "sk-ant-api03-" + "0123456789abcdefghij",
    "Telegram": "123456789:AA" + "F0123456789abcdefghij-abcdefghijkl",
    "Discord": "https://discord.com/api/webhooks/123456/" + "abcdefghij0123456789abcdefghij",
    "Teams": "https://x.webhook.office.com/webhookb2/" + "abcdefgh-0123@0123/IncomingWebhook/abcdef012345",
    "Zapier": "https://hooks.zapier.com/hooks/catch/1234567/" + "b0x9k2a7c3d1/",
    "Mattermost": "https://chat.example.com/hooks/" + "k7qp2zr9w1x8y3abcdefghij01",
    "IFTTT": "https://maker.ifttt.com/trigger/x/with/key/" + "dB3k7-Qp2Zr9abcdefGHIJ",
    "Stripe": "sk_live_0123456789abcdefghij",
    "PuTTY": "Private-Lines: 2\n" + "AAAAB3NzaC1yc2EAAAADAQABAAABAQC7\n" + "q8u0123456789abcdefghij+/==",
    "PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQOYBF0123456789abcdefghij\n-----END PGP PRIVATE KEY BLOCK-----",
}


@pytest.mark.parametrize("form", BY_FORM)
@pytest.mark.parametrize("text", ["const x = `{}`;", "see {}, please", "{}"])
def test_a_credential_is_known_by_its_form(form: str, text: str) -> None:
    found = exchange(body=json.dumps({"name": "r", "description": text.format(BY_FORM[form])}))
    redacted = written(found)
    assert b"DFSECRET" in redacted
    assert BY_FORM[form].encode() not in redacted
    assert BY_FORM[form][-12:].encode() not in redacted


def test_a_number_that_is_a_secret_becomes_text() -> None:
    """JSON stays JSON; a short one is replaced in its own field only, and the same digits in a text as in any."""
    config = '{"password": 1234567890, "pin": 4711, "port": 4711, "n": [1.5, 91234567890, 1234567890], '
    config += '"t": "1234567890,\\"4711"}'
    body = f'{{"resource": [{{"name": "x", "config": {config}}}]}}'
    found = exchange("system/service", body)
    redacted = redact_exchange(found, find([found], load()), load()).request.body.content
    assert json.loads(redacted)["resource"][0]["config"] == {
        "password": "DFSECRET_service_password_1",
        "pin": "DFSECRET_service_pin_1",
        "port": 4711,
        "n": [1.5, "9DFSECRET_service_password_1", "DFSECRET_service_password_1"],
        "t": 'DFSECRET_service_password_1,"4711',
    }


@pytest.mark.parametrize("format", formats())
def test_a_number_that_is_a_secret_is_asked_for(format: str, tmp_path: Path) -> None:
    body = json.dumps({"resource": [{"name": "x", "type": "x", "config": {"password": 1234567890, "pin": 4711}}]})
    found = exchange("system/service", body, response=answered('{"resource":[{"id":7}]}', JSON, 201))
    (tmp_path / "raw.har").write_bytes(b"".join(har_chunks([found])))
    files = api.render(api.plan(api.read(tmp_path / "raw.har")), format)
    content = b"".join(file.content for file in files)
    assert b"DF_SERVICE_PASSWORD" in content
    assert b"DF_SERVICE_PIN" in content
    assert b"1234567890" not in content
    assert b"4711" not in content


def written(found: Exchange) -> bytes:
    return content_of(redact_exchange(found, find([found], load()), load()))


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_found_by_what_stands_around_it(place: str) -> None:
    assert SECRET.encode() in content_of(PLACES[place])
    assert SECRET.encode() not in written(PLACES[place])


@pytest.mark.parametrize("place", PLACES)
def test_no_output_holds_it(place: str, tmp_path: Path) -> None:
    """It stands in a call that is a step where it can, and in what is told of one that is none."""
    name = json.dumps({"resource": [{"name": "r", "description": f"about {SECRET}"}]})
    found = [PLACES[place], exchange(body=name, response=answered('{"resource":[{"id":7}]}', JSON, 201))]
    numbered = [replace(each, number=n, error="") for n, each in enumerate(found)]
    raw = tmp_path / "raw.har"
    raw.write_bytes(b"".join(har_chunks(numbered)))
    outputs: list[bytes | str] = []
    for literal in (False, True):
        journey = api.plan(api.read(raw), reads="all", literal=literal)
        outputs += attempts(journey, "curl")
    live = LiveRecording(tmp_path / "live.har", ["api/v2"], load())
    outputs += [repr(live.append(replace(each, started="2026-07-01T10:00:00Z"))) for each in numbered]
    live.close()
    outputs.append((tmp_path / "live.har").read_bytes())
    for output in outputs:
        assert SECRET.encode() not in (output if isinstance(output, bytes) else output.encode())


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("all") / "raw.har"
    path.write_bytes(b"".join(har_chunks([replace(each, number=n) for n, each in enumerate(PLACES.values())])))
    return path


def test_no_command_tells_them(raw: Path) -> None:
    commands: list[tuple[str | Path, ...]] = [("show", raw), ("show", raw, "--json")]
    commands += [("import", raw, "-o", "-"), ("report", raw, "-o", "-")]
    for command in commands:
        output = printed(*command)
        assert len(output) > 1000
        assert SECRET.encode() not in output, command


@pytest.mark.parametrize("upsert", [False, True])
@pytest.mark.parametrize("format", formats())
def test_no_script_holds_them(format: str, upsert: bool, raw: Path) -> None:
    outputs = list(attempts(api.plan(api.read(raw), reads="all", upsert=upsert, teardown=upsert), format))
    assert outputs
    for output in outputs:
        assert SECRET.encode() not in output


LONGER: dict[str, Exchange] = {  # what is found is more than the secret
    "ODBC in braces": service({"dsn": f"odbc:Driver={{SQL Server}};Server=x;PWD={{{SECRET};x}};Database=d"}),
    "PKCS12": service({"pkcs12": f"MIIJ{SECRET}AgED"}),
    "password with an at sign": service({"dsn": f"mongodb://u:p@{SECRET}@h:27017/db"}),
    "password with a slash": service({"dsn": f"postgres://u:ab/{SECRET}@h:5432/db"}),
    "webhook": service({"url": f"https://hooks.slack.com/services/T00000000/B00000000/{SECRET}"}),
}


@pytest.mark.parametrize("place", LONGER)
def test_a_secret_is_found_with_what_belongs_to_it(place: str) -> None:
    assert SECRET.encode() in content_of(LONGER[place])
    assert SECRET.encode() not in written(LONGER[place])


WORDS = "Sesam-Oeffne-Dich"
WITHOUT_A_DIGIT: dict[str, Exchange] = {
    "curl option": service({"options": {"10005": f"user:{WORDS}"}}),
    "header of options": service({"options": {"HTTPHEADER": [f"X-Api-Key: {WORDS}"]}}),
    "connection string": service({"connection_string": f"Host=x;Password={WORDS};Db=x"}),
    "URL": service({"base_url": "https://x.example.com/?access_token=SesamOeffneDich"}),
    "description": exchange(body=json.dumps({"name": "r", "description": f"password: {WORDS}"})),
    "error": refused(f"The password is {WORDS}."),
    "script": script(f'const password = "{WORDS}";'),
}


@pytest.mark.parametrize("place", WITHOUT_A_DIGIT)
def test_words_beside_a_telling_name_are_found(place: str) -> None:
    redacted = written(WITHOUT_A_DIGIT[place])
    assert b"DFSECRET" in redacted
    assert WORDS.encode() not in redacted
    assert b"SesamOeffneDich" not in redacted


ORDINARY = [
    service({"options": {"CURLOPT_SSL_CIPHER_LIST": "ECDHE-RSA-AES256-GCM-SHA384", "TIMEOUT": "30", "64": "false"}}),
    service({"options": {"1002": "SET NAMES utf8mb4", "CURLOPT_USERAGENT": "dreamfactory/7.5.0 (Linux x86_64)"}}),
    service({"options": {"CURLOPT_CAINFO": "/etc/ssl/certs/ca-certificates2024.pem", "HTTPHEADER": ["Accept: a/b"]}}),
    service({"auth": "basic", "auth_type": "x12345678", "auth_enabled": "12345678"}),
    service({"base_url": "https://x.example.com/?sort=name12345&page=12345678"}),
    service({"content": "let key = 'item-12345678';\nlet auth = 'x12345678';\n"}),
    refused("The password is required, and must have at least 12345678 characters. Token expired at 2026-11-23."),
    refused("Invalid token supplied: no API key or session token was given in the X-DreamFactory-Session-Token header"),
    script("if (token && token2fa) {login({password: password1234, token: token1234});}"),
    script("const TOKEN = 'X-DreamFactory-Session-Token';"),
    exchange(sent=(("Cookie", "lang=de_DE.UTF-8; seen=2026-11-23; ab=variant2; v=v2beta1"),)),
    exchange("system/role?key=tenant-12345678"),
    exchange("system/user", "<user><token/><name>x12345678</name></password></user>", XML),
    service({"base_url": "https://x.example.com/?page=12345678&token={api_token}"}),
    service({"dsn": "mysql:host=127.0.0.1;port=3306;dbname=shop2024"}),
    script(
        "const token = event.request.headers['X-Token-2'];\nlet key2 = makeKey(1234567890);\nif (a.password == b1) {}"
    ),
    script("url + '?api_key=' + keys[0] + `&token=${token2}`"),
    exchange(
        body=json.dumps({"name": "r", "description": "Bearer authentication and basic authorization, see page 12"})
    ),
    exchange(body=json.dumps({"value": "12345678", "name": "timeout_ms"})),
    refused('(SQL: insert into "role" ("name", "created_date") values (r12345678, 2026-11-23 23:09:33))'),
    exchange("system/role?filter=" + quote('name="tenant-12345678"')),
    service({"oauth_token_expires_at": "2026-11-29 10:00:00", "token_lifetime": "3600000"}),
    service({"token_endpoint": "https://idp.example.com/oauth2/v12345678/token"}),
    service({"base_url": "http://h.example.com:8080/path12345678/x@y", "image": "oci://h:5000/a12345678@sha256"}),
    script("password = password1234\ntoken = token1234\nprint(password, token)\n"),
    script("call('abc12345:x', 'y12345678', 'z12345678')"),
    exchange(sent=(("X-Cache-Key", "roles"), ("X-Acme-Key-Id", "k7Qp2Zr9k7Qp2Zr9"))),
    service({"dsn": "odbc:Driver={SQL Server};PWD={db_password2};Server=x", "table": "thin:client/x12345678"}),
    script("login({password: this.password12, token: token_123456});\nt('password', 'label_1234567');"),
    script("curl -u $USER12345:$PASSWORD -p 12345678 https://h/x12345678\nmkdir -p mysql-12345678"),
    script("auth = (user1, password1)\nlocation = /api/v2?auth=basic&x=('a12345678', 'b12345678')"),
    service(
        {"key_column": "customer_key_2", "primary_key": "id_2026", "sort_key": "a1234567", "public_key": "AAAAB3Nz1"}
    ),
    service({"api_key_label": "Key of ACME 2026", "private_network": "10.0.0.0/8", "token_scope": "a1234567"}),
    exchange("system/role#/roles/12345678?page=12345678"),
    service({"table_key": "id_2026", "hash_key": "order_id_1", "verify_certificate": "system"}),
    service({"private_bucket": "acme-2026", "use_private_key": "yes", "key_vault": "v-2026", "seed": "42"}),
    service({"secret_arn": "arn:aws:secretsmanager:eu-west-1:12345678:secret:db-AbC123", "signature": "v4"}),
    service({"dsn": "https://k7Qp2Zr9k7Qp2Zr9.eu-west-1.example.com:8443/x", "user_url": "https://bob.smith@h/x"}),
    script("password = params.password2\n$token = $this->token12;\nsetToken('label_2026')\ngetSecret('prod-Db-1')\n"),
    script("run -e DB_PASSWORD=$DB_PASSWORD2 x\n'Cookie: session=' + session1234 + `Cookie: session=${session1234}`"),
    script("env:\n- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: db-2026\n      key: password12\n"),
    script("token:\n  header12345:\n    x: 1\nlog in with SAML / OAuth2-Provider, or Admin / Roles-2026\n"),
    refused("Password policy: min-16-Chars; password reset: see https://Wiki.example.com/a-2; Key contact: Bob-Smith2"),
    refused("Duplicate entry &#039;acme-2026&#039; for key &#039;role_name_unique2&#039; of &quot;token_2026&quot;"),
    script("login('label_2026', \"page_2026\"); connect('h', 'shop_2026'); x = ['password', 'label_2026'];"),
    script(
        "git@example.com:acme/repo-2026.git root:root2026 admin/users2026 /root/run-2026 pass 2026-07, pin: GPIO-17a"
    ),
    script("const allowed = ['Authorization', 'Content-Type'], both = ['password', 'Confirm-Password-2'];"),
    script("env:\n- name: API_KEY\n  value: ${SECRET_2}\n- name: API_TOKEN\n  value: $(SECRET_2)\n"),
    script(
        "a:1:b:c:d2026-x\n10:30:00:12:1234567\nurn:80:x:y:z_123456:w\nnet use x: /persistent:yes2 \\\\h\\x2026-a /y"
    ),
    script("vault.secret('prod-Db-1'); t.token('label-Name1'); connect('Db-Host2', 'Shop-Db2');"),
    script("use OAuth2-Flow as password grant\ndocker login -u a -p $PASSWORD_2 h\ncurl -u a:$PASSWORD_2 h\n"),
    script("INSERT INTO users (name, password) VALUES (:name, :password_2), ($1, crypt($2, gen_salt('bf8')))"),
    script("ALTER USER a IDENTIFIED BY :password_2;\npassword = :password_2\nset PASSWORD=%PASSWORD_2%\n"),
    service({"arguments": "docker run -e API_KEY_FILE=/run/secrets/k2 --token-file=/run/secrets/token2 x"}),
    service({"x": "TOKEN_EXPIRES_IN=3600000", "y": '<string name="password_hint">Min-16-Chars</string>'}),
    refused("insert into `role` (`name`,`description`) values (acme-2026, Role-2 of Acme)"),
    exchange(sent=(("Cookie", "theme=dark12; sid=1"), ("Content-Type", "text/plain; charset=utf-8; version=12345678"))),
    service({"items": [{"key": "X-Api-Key-2", "value": "{api_key}"}, {"key": "Accept", "value": "text/html12345"}]}),
    exchange(
        body=json.dumps({"fields": [{"id": "password_hint", "value": "Min-16-Chars"}, {"a=b": 1, "x:y12345678": 2}]})
    ),
    exchange(body=json.dumps({"body_html": "<p>Reset your password</p>\n<p>Tenant-2026</p> **Token** and **key2**"})),
]


@pytest.mark.parametrize("number", range(len(ORDINARY)))
def test_what_is_no_secret_stays(number: int) -> None:
    assert find([ORDINARY[number]], load()).recorded == frozenset()


# ---------------------------------------------------------------- how a known one may be written

WRITINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "component": lambda text: quote(text, safe="!'()*"),
    "form": quote_plus,
    "lower": lambda text: re.sub("%..", lambda match: match[0].lower(), quote(text, safe="")),
    "JSON": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "ASCII JSON": lambda text: json.dumps(text)[1:-1],
    "PHP JSON": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "Symfony JSON": lambda text: re.sub(
        r"\\\"|['&<>]", lambda match: f"\\u{ord(match[0][-1]):04X}", json.dumps(text)[1:-1].replace("/", "\\/")
    ),
    "HTML": html.escape,
    "PHP HTML": lambda text: "".join(
        {"'": "&#039;"}.get(c, f"&{codepoint2name[ord(c)]};" if ord(c) in codepoint2name else c) for c in text
    ),
    "CSV": lambda text: text.replace('"', '""'),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: quote(base64.b64encode(f"u:{text}".encode()), safe=""),
    "base64 in PHP JSON": lambda text: base64.b64encode(text.encode()).decode().replace("/", "\\/"),
    "base64 in base64": lambda text: base64.b64encode(base64.b64encode(f"u:{text}".encode())).decode(),
    "pair of base64": lambda text: base64.b64encode(b"user:" + base64.b64encode(text.encode())).decode(),
    "entities": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "hexadecimal entities": lambda text: "".join(f"&#x{ord(c):x};" for c in text),
    "entities in capitals": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "JSON in base64": lambda text: base64.b64encode(json.dumps({"password": text}).encode()).decode(),
    "JSON in a URL": lambda text: quote(json.dumps(text, separators=(",", ":"))[1:-1], safe="!'()*"),
    "JSON in a URL of Angular": lambda text: quote(json.dumps(text)[1:-1], safe="@:$,;=?/!'()*"),
    "HTML in a URL": lambda text: quote(html.escape(text), safe="!'()*"),
    "entities in a form": lambda text: quote_plus("".join(f"&#{ord(c)};" for c in text)),
    "Symfony JSON in a URL": lambda text: quote(WRITINGS["Symfony JSON"](text), safe="!'()*"),
    "JSON in JSON in a URL": lambda text: quote(WRITINGS["JSON in JSON"](text), safe="!'()*"),
    "JSON in JSON in a form": lambda text: quote_plus(WRITINGS["JSON in JSON"](text)),
    "URL in a URL": lambda text: quote(quote(text, safe=""), safe=""),
    "CSV in a form": lambda text: quote_plus(text.replace('"', '""')),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in capitals": lambda text: text.encode().hex().upper(),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text, ensure_ascii=False)[1:-1], ensure_ascii=False)[1:-1],
}


@pytest.mark.parametrize("secret", ["S3cr\"t é&+/x<'9?>~", "Zk8?~>~?>oo~?>~~??Zk81", SECRET])
@pytest.mark.parametrize("writing", WRITINGS)
def test_a_known_secret_is_found_however_it_is_written(writing: str, secret: str) -> None:
    login = exchange("user/session", json.dumps({"password": secret}))
    text = f"x {WRITINGS[writing](secret)} y"
    redacted = find([login], load()).redact_text(text)
    assert redacted != text
    assert secret[4:] not in redacted
    inside = redacted.removeprefix("x ").removesuffix(" y")
    assert "DFSECRET" in inside or base64.b64encode(b"DFSECRET_").decode() in inside


def test_the_words_beside_a_status_hold_none(tmp_path: Path) -> None:
    told = exchange("user/session", json.dumps({"password": SECRET}), response=Response(400, reason=f"no {SECRET}"))
    assert SECRET.encode() not in written(told)
    body = json.dumps({"resource": [{"name": "r"}]})
    said = Response(201, reason=f"token={SECRET}", body=Body.recorded(b'{"resource":[{"id":7}]}'))
    raw = tmp_path / "raw.har"
    raw.write_bytes(b"".join(har_chunks([exchange(body=body, response=said)])))
    assert SECRET.encode() not in api.render(api.plan(api.read(raw)), "curl")[0].content


@pytest.mark.parametrize(
    "holding",
    [
        {"request": {"method": f"X{SECRET}"}},
        {"request": {"httpVersion": SECRET}},
        {"request": {"headers": [{"name": f"X-{SECRET}", "value": "x"}]}},
        {"response": {"httpVersion": SECRET}},
        {"response": {"headers": [{"name": f"X-{SECRET}", "value": "x"}]}},
        {"startedDateTime": SECRET},
    ],
    ids=str,
)
@pytest.mark.parametrize("login", [True, False])
def test_a_secret_stands_in_no_output_where_no_value_is_expected(
    holding: dict[str, Any], login: bool, tmp_path: Path
) -> None:
    """It is known from another call: before that one or after it."""
    body = {"postData": {"mimeType": "application/json", "text": json.dumps({"password": SECRET})}}
    calls = [
        entry("http://h/api/v2/system/admin/session", "POST", request=body),
        entry("http://h/api/v2/system/role", "POST", **holding),
    ]
    raw = tmp_path / "raw.har"
    raw.write_bytes(har_bytes(*(calls if login else reversed(calls))))
    commands: list[tuple[str | Path, ...]] = [
        ("import", raw, "-o", tmp_path / "import.har"),
        ("show", raw, "--reads", "all"),
        ("show", raw, "--literal"),
        ("report", raw, "-o", "-", "--reads", "all"),
        *(("render", raw, "-f", format, "-o", tmp_path / f"out.{format}", "--literal") for format in formats()),
    ]
    for command in commands:
        assert SECRET.encode() not in printed(*command)
    written = [file for file in tmp_path.rglob("*") if file.is_file() and file != raw]
    assert {"import.har", "out.curl", "out.python", "out.postman"} <= {file.name for file in written}
    for file in written:
        assert SECRET.encode() not in file.read_bytes(), file
