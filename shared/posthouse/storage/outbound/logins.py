"""What logins tell of accounts: where somebody enters from, and who fails; for who watches over mail that leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from posthouse.storage.pool import Pool

# Names that nobody has are what guessers try, and left out. Rows in the order of their keys, as by everybody.
_ADD = """
    with told as materialized (
        select a.address as account, t.network, t.wrong
          from unnest($1::text[], $2::text[], $3::int[]) as t (account, network, wrong)
          join accounts a on a.address = t.account
    ), seen as (
        insert into outbound_networks (account, network)
        select account, network from told where wrong = 0 order by account, network
            on conflict (account, network) do update set at = now()
    )
    insert into outbound_failures (account, failures, logins)
    select account, 0, sum(wrong) from told group by account
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """Logins of one kind that are told together.

    Attributes:
        account: The name that was given, in lower case.
        network: Where they came from; empty for those that failed.
        wrong: So many failed; 0: they succeeded.
    """

    account: str
    network: str = ""
    wrong: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """What is counted together."""
        return self.account, self.network

    @property
    def count(self) -> int:
        """How often it happened, as far as that matters."""
        return self.wrong or 1

    def joined(self, earlier: Logins) -> Logins:
        """Return both as one."""
        return replace(self, wrong=self.wrong + earlier.wrong)


async def add_logins(pool: Pool, logins: Sequence[Logins]) -> None:
    """Tell what was seen to who watches over accounts; raise `Unavailable`."""
    await pool.execute(
        _ADD,
        [each.account for each in logins],
        [each.network for each in logins],
        [each.wrong for each in logins],
    )
