"""What a run has to know of the platform beside its steps; the catalog tells it."""

from __future__ import annotations

import msgspec


class Conventions(msgspec.Struct, frozen=True):
    """What a run has to know of the platform's API beside its steps.

    `wrapper` is the member that holds the records of a list, a create and its answer, "" when they stand bare; `id` the
    field in which a record carries the id that the server gave it; `filters`, whether lists take `filter` and `fields`,
    and `include_count` and `offset` to read on where they are cut.
    `token_header` carries the session token, behind `token_prefix`, and `key_header` the API key that chooses the role
    of who did not log in at `admin_path`. `listed` are the paths of lists whose records are read there, each with the
    field that holds the last segment of a record's own path, and `named` those of all lists whose records have another
    such field than the id. Every path of the API begins with `prefix`. `matched` are the relations of whose rows the
    server finds one that comes without its id by these fields, and `drops_empty` the paths of lists whose creates leave
    out what is empty. `profiles` are the paths at which each account finds its own record.
    """

    wrapper: str = "resource"
    id: str = "id"
    filters: bool = True
    token_header: str = "X-DreamFactory-Session-Token"
    token_prefix: str = ""
    listed: tuple[tuple[str, str], ...] = ()
    key_header: str = ""
    admin_path: str = ""
    prefix: str = "/api/v2"
    matched: tuple[tuple[str, tuple[str, ...]], ...] = ()
    drops_empty: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = ()
    profiles: tuple[str, ...] = ()

    def own_field(self, path: str) -> str:
        """The field that holds the last segment of the path of a record of this list."""
        return dict(self.named).get(path, self.id)

    @property
    def address_rule(self) -> str:
        """What is told of a base URL that was copied from the console, ends in the API's path, or holds a password."""
        return f"must be the address of the instance alone, without {self.prefix}, ?, # or @"

    @property
    def rows(self) -> tuple[str, ...]:
        """Where the records of a list stand in its answer."""
        return (self.wrapper,) if self.wrapper else ()
