"""The API on a real socket: who gets in, what it keeps, how it refuses."""

from __future__ import annotations

import itertools
from http import HTTPStatus

import httpx
import pytest

from posthouse.credentials.passwords import is_outdated, matches
from posthouse.storage import directory
from postmaster.api.guard import MAX_BODY_OCTETS
from support.postmaster import LivePostmaster

pytestmark = pytest.mark.integration


async def made(clerk: LivePostmaster, *addresses: str) -> None:
    await clerk.http.post("/domains", json={"domain": "example.test"})
    for address in addresses:
        answer = await clerk.http.post(
            "/accounts", json={"address": address, "password": "a secret"}
        )
        assert answer.status_code == HTTPStatus.CREATED


HEADERS = (None, "Bearer wrong", "Basic YTpi", "Bearer", "a-token-for-tests-only", "Bearer \u00fc")
PATHS = ("/api/v1/domains", "/api/v1/openapi.json", "/docs", "/nowhere")


async def test_a_stranger_gets_in_nowhere(clerk: LivePostmaster) -> None:
    async with httpx.AsyncClient(base_url=clerk.url) as stranger:
        for header, path in itertools.product(HEADERS, PATHS):
            headers = {} if header is None else {b"Authorization": header.encode("latin-1")}
            answer = await stranger.get(path, headers=headers)

            assert answer.status_code == HTTPStatus.UNAUTHORIZED
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["status"] == HTTPStatus.UNAUTHORIZED


async def test_a_domain_comes_and_goes(clerk: LivePostmaster) -> None:
    created = await clerk.http.post(
        "/domains", json={"domain": "Example.Test", "catch_all": "anna@example.test"}
    )
    again = await clerk.http.post("/domains", json={"domain": "example.test"})
    changed = await clerk.http.patch("/domains/example.test", json={"catch_all": None})
    listed = await clerk.http.get("/domains")
    gone = await clerk.http.delete("/domains/example.test")
    missing = await clerk.http.delete("/domains/example.test")

    usual = {"domain": "example.test", "delimiters": "+"}
    assert created.json() == {**usual, "catch_all": "anna@example.test"}
    assert again.status_code == HTTPStatus.CONFLICT
    assert changed.status_code == HTTPStatus.NO_CONTENT
    assert listed.json()["items"] == [{**usual, "catch_all": None}]
    assert gone.status_code == HTTPStatus.NO_CONTENT
    assert missing.status_code == HTTPStatus.NOT_FOUND


async def test_a_domain_with_accounts_stays(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")

    refused = await clerk.http.delete("/domains/example.test")

    assert refused.status_code == HTTPStatus.CONFLICT
    assert refused.json()["detail"] == "Domain example.test still has accounts or aliases."


async def test_an_account_has_a_full_hash_its_mailboxes_and_no_password_to_show(
    clerk: LivePostmaster,
) -> None:
    await made(clerk, "Anna@Example.test")

    shown = await clerk.http.get("/accounts/anna@example.test")
    stored = await directory.credentials(clerk.pool, "anna@example.test")
    boxes = await clerk.pool.fetchval("select count(*) from mailboxes")

    assert "secret" not in shown.text
    assert "password" not in shown.json()
    assert stored is not None
    assert matches(stored.password_hash, "a secret")
    assert not is_outdated(stored.password_hash)
    assert boxes == 6


async def test_what_a_change_of_an_account_leaves_out_stays(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")
    before = await directory.credentials(clerk.pool, "anna@example.test")

    quota = await clerk.http.patch("/accounts/anna@example.test", json={"quota_octets": 5})
    off = await clerk.http.patch("/accounts/anna@example.test", json={"enabled": False})
    nothing = await clerk.http.patch("/accounts/anna@example.test", json={})

    account = (await clerk.http.get("/accounts/anna@example.test")).json()
    assert (quota.status_code, off.status_code) == (HTTPStatus.NO_CONTENT, HTTPStatus.NO_CONTENT)
    assert nothing.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert (account["quota_octets"], account["enabled"]) == (5, False)
    after = await directory.credentials(clerk.pool, "anna@example.test")
    assert before is not None
    assert after is not None
    assert after.password_hash == before.password_hash


async def test_a_new_password_takes_the_place_of_the_old_one(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")

    await clerk.http.patch("/accounts/anna@example.test", json={"password": "another one"})

    stored = await directory.credentials(clerk.pool, "anna@example.test")
    assert stored is not None
    assert matches(stored.password_hash, "another one")
    assert not matches(stored.password_hash, "a secret")


async def test_an_account_may_have_no_password_here(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")

    without = {"address": "bert@example.test", "password": None}
    new = await clerk.http.post("/accounts", json=without)
    taken = await clerk.http.patch("/accounts/anna@example.test", json={"password": None})
    forgotten = await clerk.http.post("/accounts", json={"address": "carla@example.test"})

    assert (new.status_code, taken.status_code) == (HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)
    assert forgotten.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    for address in ("anna@example.test", "bert@example.test"):
        stored = await directory.credentials(clerk.pool, address)
        assert stored is not None
        assert (stored.password_hash, stored.keys.scram_sha_256) == ("", None)


@pytest.mark.parametrize("password", ["", "seven77", "\u00e4" * 513])
async def test_a_password_that_is_too_short_or_too_long_is_refused(
    clerk: LivePostmaster, password: str
) -> None:
    await made(clerk, "anna@example.test")

    new = {"address": "bert@example.test", "password": password}
    added = await clerk.http.post("/accounts", json=new)
    changed = await clerk.http.patch("/accounts/anna@example.test", json={"password": password})
    imported = await clerk.http.post("/imports/accounts", json={"accounts": [new]})

    assert added.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert changed.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert imported.json()["added"] == 0
    assert "the password has" in imported.json()["refused"][0]["reason"]


async def test_an_address_with_a_slash_is_one_path(clerk: LivePostmaster) -> None:
    await made(clerk, "a/b+c@example.test")

    shown = await clerk.http.get("/accounts/a%2Fb+c@example.test")

    assert shown.json()["address"] == "a/b+c@example.test"


async def test_a_refusal_never_repeats_a_password(clerk: LivePostmaster) -> None:
    answer = await clerk.http.post(
        "/accounts", json={"address": "no address", "password": {"hidden": "gr8-secret"}}
    )

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "gr8-secret" not in answer.text
    assert {fault["where"] for fault in answer.json()["errors"]} == {"address", "password"}


async def test_what_a_body_does_not_know_is_refused(clerk: LivePostmaster) -> None:
    answer = await clerk.http.post("/domains", json={"domain": "a.test", "catchall": "x@a.test"})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"][0]["where"] == "catchall"


async def test_an_account_outside_our_domains_is_refused(clerk: LivePostmaster) -> None:
    answer = await clerk.http.post(
        "/accounts", json={"address": "anna@elsewhere.test", "password": "long enough"}
    )

    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "Elsewhere.test is not one of our domains."


async def test_a_listing_is_paged_by_key_to_its_end(clerk: LivePostmaster) -> None:
    names = [f"{letter}.test" for letter in "abcde"]
    for name in names:
        await clerk.http.post("/domains", json={"domain": name})

    seen, after = list[str](), ""
    while after is not None:
        found = (await clerk.http.get("/domains", params={"after": after, "limit": 2})).json()
        seen += [row["domain"] for row in found["items"]]
        after = found["next"]

    assert seen == names


async def test_a_listing_of_accounts_can_be_of_one_domain(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test", "bert@example.test")
    await clerk.http.post("/domains", json={"domain": "other.test"})
    await clerk.http.post(
        "/accounts", json={"address": "eve@other.test", "password": "long enough"}
    )

    found = (await clerk.http.get("/accounts", params={"domain": "other.test"})).json()

    assert [row["address"] for row in found["items"]] == ["eve@other.test"]


async def test_redirections_are_set_replaced_listed_and_removed(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")
    http = clerk.http
    cases: list[tuple[str, str, dict[str, object]]] = [
        ("aliases", "team@example.test", {"targets": ["anna@example.test"], "owner": None}),
        (
            "aliases",
            "all@example.test",
            {"targets": ["anna@example.test"], "posters": ["members", "@far.test", "eve@far.test"]},
        ),
        ("forwards", "anna@example.test", {"targets": ["anna@far.test"], "keep_copy": False}),
        ("networks", "192.0.2.0/24", {"note": "the cellar"}),
        ("networks", "192.0.2.7/32", {"note": "", "relay": False, "senders": ["far.test"]}),
    ]
    for room, name, body in cases:
        assert (await http.put(f"/{room}/{name}", json=body)).status_code == 204
        (row,) = (await http.get(f"/{room}")).json()["items"]
        assert {key: row[key] for key in body} == body
        assert name in row.values()
        assert (await http.delete(f"/{room}/{name}")).status_code == 204
        assert (await http.get(f"/{room}")).json()["items"] == []
    audit = (await http.get("/audit")).json()["items"]
    assert [(row["action"], row["chosen"]) for row in reversed(audit)] == [
        ("domain add", "example.test"),
        *(
            (f"{room[:-1] if room != 'aliases' else 'alias'} {verb}", name)
            for room, name, _ in cases
            for verb in ("set", "remove")
        ),
    ]


async def test_delegates_are_allowed_changed_listed_and_revoked(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test", "bert@example.test")
    http = clerk.http
    pairs = [
        (address, f"{name}@example.test")
        for address in ("*@partner.test", "boss@example.test")
        for name in ("anna", "bert")
    ]

    for address, account in pairs:
        put = await http.put(f"/delegates/{address}/{account}", json={})
        assert put.status_code == HTTPStatus.NO_CONTENT
    await http.put("/delegates/boss@example.test/Anna@example.test", json={"on_behalf": True})
    first = (await http.get("/delegates", params={"limit": 3})).json()
    rest = (await http.get("/delegates", params={"limit": 3, "after": first["next"]})).json()
    of_anna = (await http.get("/delegates", params={"account": "Anna@example.test"})).json()
    unknown = await http.put("/delegates/boss@example.test/eve@example.test", json={})
    gone = await http.delete("/delegates/boss@example.test/anna@example.test")
    again = await http.delete("/delegates/boss@example.test/anna@example.test")

    rows = first["items"] + rest["items"]
    assert [(row["address"], row["account"]) for row in rows] == pairs
    assert [row["on_behalf"] for row in rows] == [False, False, True, False]
    assert [row["address"] for row in of_anna["items"]] == ["*@partner.test", "boss@example.test"]
    assert unknown.status_code == HTTPStatus.NOT_FOUND
    assert (gone.status_code, again.status_code) == (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND)


async def test_an_alias_takes_an_accounts_mail_only_by_force(clerk: LivePostmaster) -> None:
    await made(clerk, "anna@example.test")
    body = {"targets": ["bert@example.test"]}

    refused = await clerk.http.put("/aliases/Anna@example.test", json=body)
    before = (await clerk.http.get("/aliases")).json()["items"]
    forced = await clerk.http.put("/aliases/anna@example.test?force=true", json=body)
    after = (await clerk.http.get("/aliases")).json()["items"]

    assert refused.status_code == HTTPStatus.CONFLICT
    assert "is an account" in refused.json()["detail"]
    assert before == []
    assert forced.status_code == HTTPStatus.NO_CONTENT
    assert [row["address"] for row in after] == ["anna@example.test"]


async def test_an_account_under_an_alias_is_made_only_by_force(clerk: LivePostmaster) -> None:
    await made(clerk)
    await clerk.http.put("/aliases/anna@example.test", json={"targets": ["bert@far.test"]})
    body = {"address": "Anna@example.test", "password": "a secret"}

    refused = await clerk.http.post("/accounts", json=body)
    before = (await clerk.http.get("/accounts")).json()["items"]
    forced = await clerk.http.post("/accounts?force=true", json=body)
    again = await clerk.http.post("/accounts", json=body)

    assert refused.status_code == HTTPStatus.CONFLICT
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["detail"].startswith("anna@example.test is an alias")
    assert [row["address"] for row in refused.json()["addresses"]] == ["anna@example.test"]
    assert before == []
    assert forced.status_code == HTTPStatus.CREATED
    assert "is there already" in again.json()["detail"]


async def test_an_import_under_aliases_is_made_only_by_force(clerk: LivePostmaster) -> None:
    await made(clerk, "old@example.test")
    for name in ("anna", "bert"):
        await clerk.http.put(f"/aliases/{name}@example.test", json={"targets": ["x@far.test"]})
    rows = [
        {"address": f"{name}@example.test", "password": "long enough"}
        for name in ("carl", "anna", "bert", "old", '"quo ted"')
    ]
    where = "/imports/accounts"

    glance = await clerk.http.post(where, json={"accounts": rows, "dry_run": True})
    refused = await clerk.http.post(where, json={"accounts": rows})
    before = (await clerk.http.get("/accounts")).json()["items"]
    forced = await clerk.http.post(f"{where}?force=true", json={"accounts": rows})

    assert [row["index"] for row in glance.json()["shadowed"]] == [1, 2]
    assert refused.status_code == HTTPStatus.CONFLICT
    assert [row["address"] for row in refused.json()["addresses"]] == [
        "anna@example.test",
        "bert@example.test",
    ]
    assert [row["address"] for row in before] == ["old@example.test"]
    assert forced.json() == glance.json()
    assert {name: forced.json()[name] for name in ("added", "unchanged")} == {
        "added": 3,
        "unchanged": 1,
    }
    assert [row["index"] for row in forced.json()["refused"]] == [4]
    assert len((await clerk.http.get("/accounts")).json()["items"]) == 4


async def test_a_domain_of_ours_and_a_route_for_it_only_by_force(clerk: LivePostmaster) -> None:
    route = {"hops": ["relay.test"]}
    assert (await clerk.http.put("/routes/far.test", json=route)).is_success

    refused = await clerk.http.post("/domains", json={"domain": "far.test"})
    forced = await clerk.http.post("/domains?force=true", json={"domain": "far.test"})
    over = await clerk.http.put("/routes/far.test", json=route)
    over_by_force = await clerk.http.put("/routes/far.test?force=true", json=route)

    assert [answer.status_code for answer in (refused, forced, over, over_by_force)] == [
        HTTPStatus.CONFLICT,
        HTTPStatus.CREATED,
        HTTPStatus.CONFLICT,
        HTTPStatus.NO_CONTENT,
    ]


async def test_the_document_tells_of_every_refusal_that_can_be_forced(
    clerk: LivePostmaster,
) -> None:
    paths = (await clerk.http.get("/openapi.json")).json()["paths"]
    forcible = {
        (method, url): operation
        for url, methods in paths.items()
        for method, operation in methods.items()
        if any(each["name"] == "force" for each in operation.get("parameters", ()))
    }

    assert set(forcible) == {
        ("post", "/api/v1/accounts"),
        ("post", "/api/v1/imports/accounts"),
        ("put", "/api/v1/aliases/{address}"),
        ("post", "/api/v1/dkim/keys/{domain}/{selector}/activate"),
        ("delete", "/api/v1/dkim/keys/{domain}/{selector}"),
        ("post", "/api/v1/domains"),
        ("post", "/api/v1/shared"),
        ("put", "/api/v1/routes/{domain}"),
    }
    for operation in forcible.values():
        (kind,) = operation["responses"]["409"]["content"]
        assert kind == "application/problem+json"


async def test_an_alias_of_itself_alone_is_refused(clerk: LivePostmaster) -> None:
    await made(clerk)

    answer = await clerk.http.put(
        "/aliases/loop@example.test", json={"targets": ["Loop@Example.test"]}
    )

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert (await clerk.http.get("/aliases")).json()["items"] == []


async def test_a_routes_password_is_kept_and_not_shown(clerk: LivePostmaster) -> None:
    body = {"hops": ["Relay.test:587"], "username": "us", "password": "gr8-secret"}

    put = await clerk.http.put("/routes/*", json=body)
    shown = await clerk.http.get("/routes")
    half = await clerk.http.put("/routes/a.test", json={"hops": ["h"], "username": "us"})

    assert put.status_code == HTTPStatus.NO_CONTENT
    assert "gr8-secret" not in shown.text
    assert shown.json()["items"][0] == {
        "domain": "*", "hops": ["smtp:relay.test:587"], "username": "us",
        "hold": False, "window": None,
    }  # fmt: skip
    assert (await directory.routes(clerk.pool))[0].password == "gr8-secret"  # noqa: S105
    assert half.status_code == HTTPStatus.UNPROCESSABLE_ENTITY


NONSENSE: tuple[tuple[str, str, object], ...] = (
    ("PUT", "/networks/192.0.2.1/24", {}),
    ("PUT", "/networks/here", {}),
    ("PUT", "/networks/192.0.2.0/24", {"senders": ["no domain"]}),
    ("PUT", "/delegates/nonsense/anna@example.test", {}),
    ("PUT", "/routes/not a domain", {"hops": ["h"]}),
    ("PUT", "/routes/a.test", {"hops": []}),
    ("PUT", "/routes/a.test", {"hops": ["h:0"]}),
    ("PUT", "/routes/a.test", {"hops": ["maildir:../%u"]}),
    ("PUT", "/routes/a.test", {"hops": ["h"], "window": "soon"}),
    ("PUT", "/routes/a.test", {"hops": ["mx:h"], "username": "us", "password": "secret"}),
    ("PUT", "/relays/@*", {"hops": ["h"]}),
    ("PUT", "/relays/anna@example.test", {"hops": ["maildir:%u"]}),
    ("PUT", "/aliases/team@example.test", {"targets": []}),
    ("PUT", "/aliases/team@example.test", {"targets": ["nonsense"]}),
    ("POST", "/domains", {"domain": "no domain"}),
    ("GET", "/domains?limit=0", None),
    ("GET", "/trace?sender=a@b.test&recipient=c@d.test", None),
    ("GET", "/trace/ffffffff-ffff-7fff-bfff-ffffffffffff", None),
    ("POST", "/dead-letters/replay", {}),
    ("POST", "/dead-letters/discard", {"ids": []}),
)
MISSING = (
    "/accounts/nobody@example.test",
    "/trace/01890000-0000-7000-8000-000000000000",
    "/dead-letters/1",
    "/nowhere",
)


async def test_what_makes_no_sense_is_a_problem_of_the_client(clerk: LivePostmaster) -> None:
    await clerk.http.post("/domains", json={"domain": "example.test"})

    for method, path, body in NONSENSE:
        answer = await clerk.http.request(method, path, json=body)

        assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]


async def test_a_refusal_is_in_words_of_operators_not_of_libraries(clerk: LivePostmaster) -> None:
    trace = await clerk.http.get("/trace/nope")
    json = {"Content-Type": "application/json"}
    body = await clerk.http.post("/domains", content=b'{"a": x}', headers=json)
    empty = await clerk.http.post("/domains", json={})

    assert trace.json()["detail"] == "ident: is not the id of a message."
    assert body.json()["detail"] == "body: is not JSON."
    assert empty.json()["detail"] == "domain: is missing."


async def test_what_is_not_there_is_404(clerk: LivePostmaster) -> None:
    for path in MISSING:
        answer = await clerk.http.get(path)

        assert answer.status_code == HTTPStatus.NOT_FOUND, path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_too_large_is_refused_and_the_next_request_is_served(
    clerk: LivePostmaster,
) -> None:
    answer = await clerk.http.post("/domains", content=b" " * (MAX_BODY_OCTETS + 1))

    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert (await clerk.http.get("/domains")).status_code == HTTPStatus.OK


async def test_an_outage_of_the_broker_leaves_the_ledgers_half_of_the_queues(
    clerk: LivePostmaster,
) -> None:
    answer = await clerk.http.get("/queues")

    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["queues"] == []
    assert answer.json()["trouble"]
