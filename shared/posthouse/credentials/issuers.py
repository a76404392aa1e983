"""Several issuers as one link: a token is for the one to judge that it says it is of."""

from __future__ import annotations

from collections.abc import Mapping

from posthouse.credentials.authenticator import Link
from posthouse.credentials.bearer import Bearer
from posthouse.credentials.exchange import Attempt, Channel, Verdict
from posthouse.credentials.tokens import issuer_in


class Issuers:
    """Asks the issuer that a token names; what names none of them is the first one's to refuse.

    Args:
        links: Those who judge, by their addresses; one at least.
    """

    def __init__(self, links: Mapping[str, Link]) -> None:
        self._links = links
        self._first = next(iter(links.values()))

    async def judge(self, attempt: Attempt, channel: Channel) -> Verdict | None:
        """Judge as `authenticator.Link` says; the name in a token is believed by its judge alone."""
        if not isinstance(attempt, Bearer):
            return None
        its = self._links.get(issuer_in(attempt.token), self._first)
        return await its.judge(attempt, channel)
