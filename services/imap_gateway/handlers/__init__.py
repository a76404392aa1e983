"""What carries out each command: `HANDLERS`, by the command's type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from imap_gateway.handlers import (
    appending,
    copying,
    entry,
    fetching,
    folders,
    plain,
    searching,
    selecting,
    storing,
)
from imap_gateway.protocol import commands as c
from imap_gateway.session import Handler

HANDLERS: Final[Mapping[type[Any], Handler]] = MappingProxyType({
    c.Capability: plain.capability,
    c.Noop: plain.noop,
    c.Check: plain.noop,
    c.Logout: plain.logout,
    c.StartTls: plain.start_tls,
    c.Namespace: plain.namespace,
    c.Id: plain.identify,
    c.Enable: plain.enable,
    c.Idle: plain.idle,
    c.Login: entry.login,
    c.Authenticate: entry.authenticate,
    c.Select: selecting.select,
    c.Close: selecting.close,
    c.Create: folders.create,
    c.Delete: folders.delete,
    c.Rename: folders.rename,
    c.Subscribe: folders.subscribe,
    c.List: folders.list_,
    c.Status: folders.status,
    c.Append: appending.append_,
    c.Search: searching.search,
    c.Fetch: fetching.fetch,
    c.Store: storing.store,
    c.Copy: copying.copy_,
    c.Expunge: copying.expunge_,
})  # fmt: skip
