"""Calls to services other than `system`: access lists, files, empty databases, API docs.

Just enough for the calls in the recordings and in the journeys of system-api.md section 8; facts: fixtures
02-provision-tenant (empty folder, access list, api_docs), 03-edit-role (access list of a database), 06-messy
(`files`), section 10 (files).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.utils import formatdate
from mimetypes import guess_type
from typing import Any

from tests.doubles.errors import RestError
from tests.doubles.schema import Row
from tests.doubles.services import read_data, types
from tests.doubles.store import Store
from tests.doubles.wire import Answer, Request, files

USER_RESOURCES = ("custom", "password", "profile", "register", "session")
GROUPS_WITH_TABLES = ("Database", "Big Data")
GITIGNORE = b"*\n!.gitignore\n"[:13]
GITIGNORE_DATE = "Thu, 23 Apr 2026 17:58:41 GMT"


@dataclass
class Tree:
    """The files of one service: path to bytes, folders as paths ending in `/`."""

    entries: dict[str, bytes] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)


class Content:
    """Answers under `/api/v2/{service}` for one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.trees: dict[int, Tree] = {}
        self.tables: dict[tuple[str, str], dict[int, Row]] = {}
        self.relations: dict[tuple[str, str], list[Row]] = {}
        if files := store.by_name("service", "files"):
            self.trees[files["id"]] = Tree({".gitignore": GITIGNORE}, {".gitignore": GITIGNORE_DATE})

    def handle(self, service: Row, request: Request) -> Answer:
        group = (types().get(service["type"]) or {}).get("group")
        if request.verb == "GET" and request.flag("as_access_list") and len(request.segments) == 1:
            return Answer(200, {"resource": self._access_list(group)})
        if service["type"] == "swagger":
            return self._docs(request)
        if request.segments[1:] == ["_spec"]:
            return Answer(200, self.spec(service))
        if group == "File":
            return self._files(service, request)
        if group in GROUPS_WITH_TABLES:
            return self._tables(service, request)
        if service["type"] == "rws":
            raise RestError(500, "CURL error: Failed to connect to the remote service.")
        if len(request.segments) == 1 and request.verb == "GET":
            names = USER_RESOURCES if service["type"] == "user" else ()
            return Answer(200, {"resource": [{"name": name} for name in names]})
        raise RestError(404, f"Resource '{request.segments[-1]}' not found for service '{service['name']}'.")

    def _access_list(self, group: Any) -> list[str]:
        tables = ["_schema/", "_schema/*", "_table/", "_table/*"] if group in GROUPS_WITH_TABLES else []
        return ["", "*", *tables]

    def _docs(self, request: Request) -> Answer:
        names = [row for row in self.store.rows("service") if row["is_active"]]
        if len(request.segments) == 1:
            return Answer(200, {"resource": [{key: row[key] for key in ("name", "label")} for row in names]})
        row = next((row for row in names if row["name"] == request.segments[1]), None)
        if row is None:
            raise RestError(404, f"Could not find a service for {request.segments[1]}.")
        return Answer(200, self.spec(row))

    def spec(self, service: Row) -> Row:
        """The OpenAPI document of a service; recorded for local file services, its outline for the rest."""
        group = (types().get(service["type"]) or {}).get("group")
        words = service["name"].replace("-", "_").split("_")
        values = {
            "@service@": service["name"],
            "@Service@": "".join(word[:1].upper() + word[1:] for word in words),
            "@label@": service["label"] or "",
            "@description@": service["description"] or "",
        }
        text = json.dumps(read_data("api_docs_local_file.json"))
        for token, value in values.items():
            text = text.replace(token, json.dumps(value)[1:-1])
        document: Row = json.loads(text)
        if group != "File":
            document["info"]["group"] = group
            document["paths"] = {}
        return document

    def _tables(self, service: Row, request: Request) -> Answer:
        path = request.segments[1:]
        if request.verb == "GET" and not path:
            return Answer(200, {"resource": [{"name": "_schema"}, {"name": "_table"}]})
        if request.verb == "GET" and path in (["_table"], ["_schema"]):
            names = [{"name": table} for name, table in self.tables if name == service["name"]]
            return Answer(200, {"resource": names})
        table = self.tables.get((service["name"], path[1])) if len(path) > 1 else None
        if path[:1] == ["_schema"] and path[2:] == ["_related"] and request.verb == "POST" and table is not None:
            made = request.records() or []
            self.relations.setdefault((service["name"], path[1]), []).extend(made)
            return Answer(201, {"resource": [{"name": row["name"]} for row in made]})
        if path[:1] == ["_table"] and table is not None:
            return self._rows(table, path[2:], request)
        if path[:1] in (["_table"], ["_schema"]) and len(path) > 1:
            raise RestError(404, f"Table '{path[1]}' does not exist in the database.")
        raise RestError(404, f"Resource '{path[0] if path else ''}' not found for service '{request.segments[0]}'.")

    def _rows(self, table: dict[int, Row], path: list[str], request: Request) -> Answer:
        """Rows with the key `id`, by their path, by `ids`, or each by the id in it."""
        records = request.records()
        sent = records if isinstance(records, list) else [request.record()] if request.record() else []
        if request.verb == "POST":
            made = [{**row, "id": max(table, default=0) + 1 + n} for n, row in enumerate(sent)]
            table |= {row["id"]: row for row in made}
            return Answer(201, {"resource": [{"id": row["id"]} for row in made]})
        given = path or (request.query["ids"].split(",") if request.query.get("ids") else [])
        ids = [int(own) for own in given] or [row["id"] for row in sent] or list(table)
        for own in ids:
            if own not in table:
                raise RestError(404, f"Record with identifier '{own}' not found.")
        for place, own in enumerate(ids) if request.verb != "GET" else ():
            if request.verb == "DELETE":
                del table[own]
            else:
                table[own] |= sent[place if len(sent) > 1 else 0]
        shown = [table.get(own) if request.verb == "GET" else {"id": own} for own in ids]
        return Answer(200, shown[0] if path else {"resource": shown})

    def _files(self, service: Row, request: Request) -> Answer:
        tree = self.trees.setdefault(service["id"], Tree())
        path = "/".join(request.segments[1:])
        is_folder = not path or request.trailing_slash or f"{path}/" in tree.entries
        if is_folder and path:
            path += "/"
        match request.verb:
            case "GET" if is_folder:
                return self._list(tree, path)
            case "GET":
                if path not in tree.entries:
                    raise RestError(404, f"File '{path}' not found.")
                return Answer(200, tree.entries[path], guess_type(path)[0] or "application/octet-stream")
            case "POST" | "PUT" | "PATCH":
                return self._upload(tree, path, is_folder, request)
            case "DELETE":
                return self._delete(tree, path, request)
        raise RestError(405, f"{request.verb} is not supported.")

    def _list(self, tree: Tree, folder: str) -> Answer:
        if folder and folder not in tree.entries:
            raise RestError(404, f"Folder '{folder}' does not exist in storage.")
        shown = []
        for path in sorted(tree.entries):
            name = path.removeprefix(folder)
            if not path.startswith(folder) or not name or "/" in name.rstrip("/"):
                continue
            date = tree.dates[path]
            if path.endswith("/"):
                shown.append({"path": path, "last_modified": date, "name": name.rstrip("/"), "type": "folder"})
            else:
                kind = guess_type(path)[0] or "application/octet-stream"
                size = len(tree.entries[path])
                about: Row = {"path": path, "content_type": kind, "last_modified": date, "content_length": size}
                shown.append({**about, "name": name, "type": "file"})
        return Answer(200, {"resource": shown})

    def _upload(self, tree: Tree, path: str, is_folder: bool, request: Request) -> Answer:
        content_type = request.headers.get("content-type", "")
        if name := request.headers.get("x-folder-name"):
            return Answer(201, _put(tree, f"{path}{name.strip('/')}/", b""))
        if content_type.startswith("multipart/form-data"):
            folder = path if not path or path.endswith("/") else f"{path}/"
            parts = files(content_type, request.raw)
            return Answer(201, {"resource": [_put(tree, folder + name, data) for name, data in parts]})
        if name := request.headers.get("x-file-name"):
            path = f"{path}{name}"
        elif is_folder:
            records = request.records() or []
            made = [_put(tree, path + str(row["name"]) + "/", b"") for row in records if row.get("type") == "folder"]
            return Answer(201, {"resource": made}) if made else Answer(201, _put(tree, path, b""))
        if content_type.startswith("text/csv") and not request.raw.startswith(b"\xef\xbb\xbf"):
            raise RestError(500, "File signature is not valid")
        return Answer(201, _put(tree, path, request.raw))

    def _delete(self, tree: Tree, path: str, request: Request) -> Answer:
        named = [f"{path}{row['name']}" for row in request.records() or [] if isinstance(row, dict) and row.get("name")]
        for wanted in named or [path]:
            wanted = wanted if wanted in tree.entries else f"{wanted.rstrip('/')}/"
            if wanted not in tree.entries:
                raise RestError(404, f"File '{wanted}' not found.")
            below = [other for other in tree.entries if other.startswith(wanted) and wanted.endswith("/")]
            if len(below) > 1 and not request.flag("force"):
                raise RestError(500, "Folder contains files. Use force option to delete.")
            for other in {wanted, *below}:
                del tree.entries[other]
        if named:
            return Answer(200, {"resource": [{"name": one.rpartition("/")[2], "path": one} for one in named]})
        return Answer(200, {"name": path.rstrip("/").rpartition("/")[2], "path": path})


def _put(tree: Tree, path: str, data: bytes) -> Row:
    steps = path.rstrip("/").split("/")
    for depth in range(1, len(steps)):
        parent = "/".join(steps[:depth]) + "/"
        tree.entries.setdefault(parent, b"")
        tree.dates.setdefault(parent, formatdate(usegmt=True))
    tree.entries[path] = data
    tree.dates[path] = formatdate(usegmt=True)
    return {"name": steps[-1], "path": path, "type": "folder" if path.endswith("/") else "file"}
