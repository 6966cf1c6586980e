"""Signing in: tokens, sessions, passwords, profiles, registration, and who a call is made by.

Facts: system-api.md sections 2 and 10, fixtures 01-create-user (no session: 400; admin at user/session: 401) and
06-messy (wrong password). Messages of refused calls follow df-core `AccessCheck`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.doubles.errors import RestError
from tests.doubles.records import RESOURCES, Records
from tests.doubles.schema import Row
from tests.doubles.store import VERBS, Store, now
from tests.doubles.wire import Answer, Caller, Request

NOTHING_SENT = (
    "No session token (JWT) or API Key detected in request. Please send in X-DreamFactory-Session-Token and/or "
    "X-DreamFactory-API-Key request header. You can also use URL query parameters session_token and/or api_key."
)
NO_KEY = (
    "No API Key provided. Please provide a valid API Key using X-DreamFactory-API-Key request header or 'api_key' "
    "url query parameter."
)
NO_TOKEN = (
    "No session token (JWT) provided. Please provide a valid JWT using X-DreamFactory-Session-Token request header or "
    "'session_token' url query parameter."
)
NO_ROLE = "Role not found. A role may not be assigned to you or your application."
BLACKLISTED = "The token has been blacklisted: Session terminated. Please re-login."
HOST = "vm"
TOKEN_LIFE = timedelta(minutes=1440)
PROFILE = ("name", "username", "first_name", "last_name", "email", "phone", "security_question", "default_app_id")


class Sessions:
    """Tokens of one server: given out at login, refused once blacklisted."""

    def __init__(self, store: Store, records: Records) -> None:
        self.store = store
        self.records = records
        self.secret = secrets.token_bytes(32)
        self.blacklist: set[str] = set()
        self.issued: dict[int, set[str]] = {}

    def caller(self, request: Request) -> Caller:
        """Who makes this call. Raises RestError 401 or 403 for a bad token, even when a key is present."""
        key = request.query.get("api_key") or request.headers.get("x-dreamfactory-api-key") or ""
        if not key and request.segments[:2] != ["system", "app"]:
            key = str(request.record().get("api_key") or "")
        app = next((row for row in self.store.rows("app") if key and row["api_key"] == key), None)
        token = _token(request)
        user = self._user(token) if token else self._basic(request.headers.get("authorization", ""))
        return Caller(user, app, key, token)

    def _user(self, token: str) -> Row:
        parts = token.split(".")
        if len(parts) != 3:
            raise RestError(401, "Invalid token: Wrong number of segments")
        if not hmac.compare_digest(self._signature(".".join(parts[:2])), parts[2]):
            raise RestError(401, "Invalid token: Token Signature could not be verified.")
        if token in self.blacklist:
            raise RestError(403, BLACKLISTED)
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
        user = self.store.find("user", claims["user_id"])
        if user is None:
            raise RestError(401, "Invalid token: User not found.")
        return user

    def _basic(self, header: str) -> Row | None:
        if not header.startswith("Basic "):
            return None
        try:
            email, _, password = base64.b64decode(header[6:]).decode().partition(":")
        except ValueError:
            email, password = "", ""
        user = next((row for row in self.store.rows("user") if row["email"] == email), None)
        if user is None or user["password"] != password:
            raise RestError(401, "Unauthorized. User credentials did not match.")
        return user

    def permit(self, request: Request) -> None:
        """Raises what the server answers when this caller may not make this call; administrators always may."""
        caller = request.caller
        if caller.is_admin:
            return
        if not caller.api_key and not caller.token and caller.user is None:
            raise RestError(400, NOTHING_SENT)
        role = self.role_of(caller)
        if role is None:
            if not caller.api_key:
                raise RestError(400, NO_KEY)
            if caller.user is None:
                raise RestError(400, NO_TOKEN)
            raise RestError(403, NO_ROLE)
        if not role["is_active"]:
            raise RestError(
                403,
                "Access Forbidden. The role assigned to you or your application or the default role of your "
                "application is not active.",
            )
        service = self.store.by_name("service", request.segments[0])
        if not self._allows(role, service["id"] if service else None, request):
            raise RestError(403, "Access Forbidden. You do not have enough privileges to access this resource.")

    def role_of(self, caller: Caller) -> Row | None:
        """The API key chooses the role: the user's assignment for that app, else any of the user's, else the app's."""
        if not caller.api_key or caller.app is None:
            return None
        role_id = caller.app["role_id"]
        if caller.user:
            own = [row for row in self.store.rows("user_to_app_to_role") if row["user_id"] == caller.user["id"]]
            here = [row for row in own if row["app_id"] == caller.app["id"]]
            role_id = (here or own or [{"role_id": role_id}])[0]["role_id"]
        return self.store.find("role", role_id) if role_id else None

    def _allows(self, role: Row, service_id: int | None, request: Request) -> bool:
        """The most specific access row decides: exact component, then partial wildcard, then `*`, then all services."""
        component = "/".join(request.segments[1:])
        best: tuple[int, int] = (-1, 0)
        for row in self.store.rows("role_service_access"):
            if (
                row["role_id"] != role["id"]
                or not row["requestor_mask"] & 1
                or row["service_id"] not in (None, service_id)
            ):
                continue
            rank = _rank(str(row["component"] or ""), component) if row["service_id"] else 0
            if rank > best[0]:
                best = (rank, row["verb_mask"])
            elif rank == best[0] >= 0:
                best = (rank, best[1] | row["verb_mask"])
        return bool(best[0] >= 0 and best[1] & VERBS.get(request.verb, 0))

    def session(self, request: Request, admins: bool) -> Answer:
        """`user/session` and `system/admin/session`."""
        caller = request.caller
        match request.verb:
            case "POST":
                return Answer(200, self._login(request.record(), admins))
            case "GET" if caller.user is None:
                if admins:
                    raise RestError(404, "No user session found.")
                raise RestError(401, "There is no valid session for the current request.")
            case "GET" if admins and not caller.is_admin:
                raise RestError(401, "You are not authorized to access this resource.")
            case "GET":
                return Answer(200, self._public(caller, caller.token))
            case "PUT" | "PATCH":
                if caller.user is None:
                    raise RestError(401, "There is no valid session for the current request.")
                self.blacklist.add(caller.token)
                return Answer(200, self._public(caller, self.new_token(caller.user)))
            case "DELETE":
                self.blacklist.add(caller.token)
                return Answer(200, {"success": True})
        raise RestError(405, f"{request.verb} is not supported.")

    def _login(self, body: Row, admins: bool) -> Row:
        name, password = body.get("email") or body.get("username"), body.get("password")
        if not name or not password:
            raise RestError(400, "Login request is missing required email or password.")
        candidates = (row for row in self.store.rows("user") if row["is_sys_admin"] is admins)
        user = next((row for row in candidates if name in (row["email"], row["username"])), None)
        if user is None or user["password"] != password:
            raise RestError(401, "Invalid credentials supplied.")
        if not user["is_active"]:
            raise RestError(403, f"User {user['email']} is not active.")
        user["last_login_date"] = user["last_modified_date"] = now()
        return self._public(Caller(user), self.new_token(user))

    def new_token(self, user: Row) -> str:
        claims = {"user_id": user["id"], "email": user["email"], "jti": secrets.token_hex(8)}
        header = {"typ": "JWT", "alg": "HS256"}
        body = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        token = f"{body}.{self._signature(body)}"
        self.issued.setdefault(user["id"], set()).add(token)
        return token

    def _signature(self, text: str) -> str:
        return _encoded(hmac.new(self.secret, text.encode(), hashlib.sha256).digest())

    def revoke(self, user_id: int) -> None:
        """Changing a password or deactivating a user ends that user's tokens."""
        self.blacklist |= self.issued.pop(user_id, set())

    def _public(self, caller: Caller, token: str) -> Row:
        user = caller.user or {}
        expiry = (datetime.now(UTC) + TOKEN_LIFE).strftime("%Y-%m-%d %H:%M:%S")
        role = self.role_of(caller) if not caller.is_admin else None
        return {
            "session_token": token,
            "session_id": token,
            **{name: user[name] for name in ("id", "name", "first_name", "last_name", "email")},
            "is_sys_admin": user["is_sys_admin"],
            "last_login_date": user["last_login_date"],
            "host": HOST,
            **({"role": role["name"], "role_id": role["id"]} if role else {}),
            "token_expiry_date": expiry,
        }

    def password(self, request: Request) -> Answer:
        """`{user|system/admin}/password`: change, ask for a reset, finish a reset."""
        body, user = request.record(), request.caller.user
        old, new = body.get("old_password"), body.get("new_password")
        if old and user:
            if not new:
                raise RestError(400, "Both old and new password are required to change the password.")
            if user["password"] != old:
                raise RestError(400, "The password supplied does not match.")
            return self._set_password(user, new, request)
        found = next((row for row in self.store.rows("user") if row["email"] == body.get("email")), None)
        if request.flag("reset"):
            if found and found["security_question"]:
                return Answer(200, {"security_question": found["security_question"]})
            if found:
                found["confirm_code"] = secrets.token_hex(16)
            return Answer(200, {"success": True})
        for name, column in (("code", "confirm_code"), ("security_answer", "security_answer")):
            if body.get(name):
                if found is None or found[column] != body[name]:
                    raise RestError(404, "The supplied email and/or confirmation code were not found in the system.")
                found["confirm_code"] = None
                return self._set_password(found, new, request)
        raise RestError(400, "Not enough information provided to change password.")

    def _set_password(self, user: Row, password: Any, request: Request) -> Answer:
        self.store.update("user", user, {"password": password})
        self.revoke(user["id"])
        token = {"session_token": self.new_token(user)} if request.flag("login") else {}
        return Answer(200, {"success": True, **token})

    def profile(self, request: Request) -> Answer:
        user = request.caller.user
        if user is None:
            raise RestError(401, "There is no valid session for the current request.")
        if request.verb == "GET":
            return Answer(200, {name: user[name] for name in PROFILE})
        wanted = {name: value for name, value in request.record().items() if name in (*PROFILE, "security_answer")}
        moved = wanted.get("email") not in (None, user["email"])
        if moved and request.record().get("current_password") != user["password"]:
            raise RestError(400, "The current password is required to change the email.")
        self.store.update("user", user, wanted)
        return Answer(200, {"success": True, **({"session_token": self.new_token(user)} if moved else {})})

    def register(self, request: Request) -> Answer:
        service = self.store.by_name("service", "user") or {}
        if not (service.get("config") or {}).get("allow_open_registration"):
            raise RestError(403, "Open Registration is not enabled.")
        body = request.record()
        user = self.store.insert(
            RESOURCES["user"].table, {**body, "password": body.get("new_password") or body.get("password")}
        )
        token = {"session_token": self.new_token(user)} if request.flag("login") else {}
        return Answer(200, {"success": True, **token})


def _token(request: Request) -> str:
    """Bearer, then the header, then `session_token` in query or body. The console sends an empty Authorization."""
    header = request.headers.get("authorization", "")
    bearer = header[7:].strip() if header.startswith("Bearer ") else ""
    named = request.headers.get("x-dreamfactory-session-token", "")
    return bearer or named or request.query.get("session_token") or str(request.record().get("session_token") or "")


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _rank(pattern: str, component: str) -> int:
    if pattern.strip("/") == component.strip("/"):
        return 1000
    if pattern == "*":
        return 1
    return 1 + len(pattern) if pattern.endswith("*") and component.startswith(pattern[:-1]) else -1
