"""Authorship: may this account have written this? Asked when the header of a submission is whole.

What an account writes most, mail from its own address, needs no question. If no policy pod answers
in time, authors that are the envelope's sender go through, because routing judges that again; any
other has to come back (451): nothing else would ever judge it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingress_smtp.courtesies import domain_for
from ingress_smtp.recipients import Gate
from ingress_smtp.replies import Reply, say
from ingress_smtp.stamps import Arrival
from ingress_smtp.submission import Edits, claims
from posthouse.mail.admission import AuthorQuestion
from posthouse.mail.header import values

MAX_AUTHORS = 100  # each is looked up
MAX_AUTHOR_OCTETS = 16 * 1024  # to read more would hold all others up
TOO_MANY_AUTHORS = say("550 5.7.1 From names too many authors")


@dataclass(frozen=True, slots=True)
class Authorship:
    """Looks at the headers of submissions.

    Attributes:
        gate: Asks policy.
        domain: For addresses without one, see `Courtesies.default_domain`.
    """

    gate: Gate
    domain: str = ""

    async def examine(self, arrival: Arrival, header: bytes) -> Reply | Edits:
        """Return what is to be changed in ``header``, or why the message is refused."""
        named = [*values(header, b"From"), *values(header, b"Sender")]
        if sum(map(len, named)) > MAX_AUTHOR_OCTETS:
            return TOO_MANY_AUTHORS
        domain = domain_for(self.domain, arrival.auth)
        said = claims(header, domain)
        author = "" if said.has_from else arrival.sender or arrival.auth
        if said.is_plain(arrival.auth) or (author == arrival.auth and not said.senders):
            return Edits(author=author, domain=domain)
        if len(said.authors) > MAX_AUTHORS:
            return TOO_MANY_AUTHORS
        question = AuthorQuestion(
            authors=said.authors or ((author,) if author else ()),
            sender=" ".join(said.senders[:2]),  # two are no address, so none of the account's
            auth=arrival.auth,
            client=arrival.client,
        )
        verdict = await self.gate.authors(question, judged={arrival.sender, arrival.auth})
        if isinstance(verdict, Reply):
            return verdict
        sender = arrival.auth if verdict.must_tell else ""
        return Edits(author=author, sender=sender, domain=domain)
