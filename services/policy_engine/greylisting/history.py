"""History: from where good mail of a domain comes, as its signatures prove (DKIM)."""

from __future__ import annotations

from policy_engine.content.pipeline import Judged
from policy_engine.greylisting.greylist import Greylist
from policy_engine.greylisting.triplets import network_of


class History:
    """Hears of each message that was judged; the greylist spares who sent good ones."""

    def __init__(self, greylist: Greylist) -> None:
        self._greylist = greylist

    def __call__(self, judged: Judged) -> None:
        """Note a good message that its sender's domain, or one above it, has signed."""
        case = judged.case
        if not self._greylist.is_used or case.is_trusted or not case.knows_client:
            return
        if judged.judgement.action != "accept" or judged.judgement.is_spam:
            return
        domain, network = case.sender.rpartition("@")[2].lower(), network_of(case.client)
        signed = (each.domain for each in case.senders.signatures if each.result == "pass")
        if network and any(_covers(one.lower(), domain) for one in signed):
            self._greylist.note_good(network, domain)


def _covers(signer: str, domain: str) -> bool:
    return domain == signer or ("." in signer and domain.endswith(f".{signer}"))
