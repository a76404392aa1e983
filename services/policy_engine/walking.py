"""Following one address to where it leads: the steps of `policy_engine.decisions`. Pure.

What the directory must still be asked is gathered in ``missing``. Maps come in here:

    an entry of the map virtual      before the directory; one of a whole domain behind it
    relocated, transport             where an address of ours would be looked up in the directory
    transport                        and where an address leaves
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date

from policy_engine.dead_ends import CLOSED, LOOP, NO_ADDRESS, NO_POST, NOBODY, Dead, moved
from policy_engine.maps.looking import NO_MAPS, Maps, Match
from policy_engine.maps.rewriting import OUTSIDE, RECIPIENT, rewritten
from policy_engine.places import Known, Place, find, is_postmaster, keys_of
from policy_engine.posting import may_post
from policy_engine.returned import meant
from policy_engine.srs import Rewriter, looks_rewritten
from policy_engine.steps import Step
from posthouse.mail.address import Address, BadAddress, parse_address
from posthouse.mail.idn import a_labels
from posthouse.mail.maps import changed
from posthouse.mail.return_path import ReturnPaths
from posthouse.storage.directory import Alias
from posthouse.storage.ledger import Branch

MAX_DEPTH = 10  # aliases of aliases
MAX_TARGETS = 10_000  # of one recipient, all levels together
MAX_ROUNDS = (
    2 * MAX_DEPTH + 10
)  # questions until nothing is missing: levels, canonical maps, senders


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decisions rest on besides the directory.

    Attributes:
        rewriter: Makes and reads senders of forwarded mail.
        today: For the age of those.
        returns: Reads our return paths.
        hostname: Our name; of its addresses only postmaster is known.
        postmaster: Who takes the mail to postmaster of every domain of ours; empty for nobody.
        maps: What operators have written of addresses.
    """

    rewriter: Rewriter
    returns: ReturnPaths
    today: date
    hostname: str = ""
    postmaster: str = ""
    maps: Maps = NO_MAPS


@dataclass(slots=True)
class Walk:
    """Follows the addresses of one message.

    Attributes:
        sender: The reverse path.
        known: What the directory says.
        rules: What else decides.
        poster: The account that submitted it, which may not post everywhere; empty for others, who
            were judged at RCPT.
        dead: Why addresses lead nowhere, in lower case.
        missing: What must be known before.
        trails: What was passed on the first way to an address.
    """

    sender: str
    known: Known
    rules: Rules
    poster: str = ""
    dead: dict[str, Dead] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    trails: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _found: dict[str, Branch] = field(default_factory=dict)
    _steps: int = 0

    def branches(self, address: str) -> tuple[Branch, ...]:
        """Return where ``address`` leads in the end, each place once."""
        self._found = {}
        self._steps = 0
        self._follow(address, Step(), is_first=True)
        return tuple(self._found.values())

    def _follow(self, text: str, step: Step, *, is_first: bool = False) -> None:
        self._steps += 1
        if step.depth > MAX_DEPTH or self._steps > MAX_TARGETS:
            self._bury(text, LOOP)
            return
        try:
            address = meant(parse_address(text), self.rules.returns, self.rules.today)
        except BadAddress:
            self._bury(text, NO_ADDRESS)
            return
        if is_first and self.rules.maps.kinds:
            after = rewritten(address, RECIPIENT, self.rules.maps, self.known)
            self.missing.update(after.missing)
            address = after.address
            step = replace(step, trail=tuple(f"{each.kind} {each.key}" for each in after.by))
        if self._knows(address):
            self._arrive(address, find(address, self.known), step)

    def _arrive(self, address: Address, place: Place | None, step: Step) -> None:
        """Go on by what maps say of ``address``, else by what the directory does."""
        if self.rules.maps.kinds and self._by_maps(address, place, step):
            return
        if place is None:
            self._leave(address, step)
        elif place.is_known:
            self._enter(address, place, step)
        else:
            self._fall_back(address, place, step)

    def _by_maps(self, address: Address, place: Place | None, step: Step) -> bool:
        """Follow the map virtual, or end where a map says so; False if none says anything.

        Of an address of ours that somebody has, entries of whole domains say nothing.
        """
        maps, known = self.rules.maps, self.known
        look = maps.narrow if place is not None and place.is_known else maps.find
        virtual = None if address.key in step.mapped else look("virtual", address, known)
        if virtual is not None:
            behind = step.beyond_map(address, virtual.entry, is_ours=place is not None)
            self._replace(address, virtual, behind)
            return True
        if place is None:
            return False
        if (gone := look("relocated", address, known)) is not None:
            self._bury(str(address), moved(gone.targets[0]))
            return True
        if look("transport", address, known) is not None:
            self._send_out(address, replace(step, domain=address.domain))
            return True
        return False

    def _replace(self, address: Address, virtual: Match, behind: Step) -> None:
        for target in virtual.targets:
            after = changed(address, target, virtual.detail)
            if after is None:
                self._bury(target, NO_ADDRESS)
            else:
                self._follow(str(after), behind)

    def _enter(self, address: Address, place: Place, step: Step) -> None:
        """Follow an alias, or arrive at an account."""
        passed = place.key in step.path
        if place.alias is not None and not passed:
            self._expand(address, place.alias, place, step)
        elif place.account is None:
            self._bury(str(address), LOOP)
        elif not place.account.enabled:
            self._bury(str(address), CLOSED)
        elif place.forward is not None and not passed:
            if place.forward.keep_copy:
                self._deliver(address, place, step)
            for target in place.forward.targets:
                self._follow(target, step.beyond(place, "forward of"))
        else:
            self._deliver(address, place, step)

    def _expand(self, address: Address, alias: Alias, place: Place, step: Step) -> None:
        """Follow an alias, or a group, whose owner answers for it from here on."""
        if self.poster and not step.depth and not may_post(alias, self.poster):
            self._bury(str(address), NO_POST)
            return
        behind = step.beyond(place, "group" if alias.owner else "alias", owner=alias.owner)
        for target in alias.targets:
            self._follow(target, behind)

    def _fall_back(self, address: Address, place: Place, step: Step) -> None:
        """An address of ours that nobody has."""
        if not self.sender and looks_rewritten(address):
            original = self.rules.rewriter.reverse(address, self.rules.today)
            if original is not None:
                self._follow(original, step.beyond(place, "way back"))
                return
        catch_all = place.domain.catch_all
        if self.rules.postmaster and is_postmaster(address) and place.key not in step.path:
            self._follow(self.rules.postmaster, step.beyond(place, "postmaster for"))
        elif catch_all and place.key not in step.path:
            self._follow(catch_all, step.beyond(place, "catch-all for"))
        else:
            self._bury(str(address), LOOP if catch_all else NOBODY)

    def _deliver(self, address: Address, place: Place, step: Step) -> None:
        if place.account is None:
            raise ValueError("nobody lives there")
        final = str(address).lower() if place.detail else place.account.address
        self._add(
            Branch(
                road="local",
                address=final,
                account=place.account.id,
                folder=place.detail,
                sender=self._owner(step),
                redistributed=self._owner(step) is not None,
            ),
            step,
        )

    def _leave(self, address: Address, step: Step) -> None:
        """An address that is not ours, unless it is our own name's postmaster."""
        is_own = address.domain == self.rules.hostname.lower() and is_postmaster(address)
        if is_own and self.rules.postmaster and address.key not in step.path:
            behind = replace(step, path=(*step.path, address.key))
            self._follow(self.rules.postmaster, behind)
        else:
            self._send_out(address, step)

    def _send_out(self, address: Address, step: Step) -> None:
        if address.domain.startswith("["):  # never accepted at RCPT: somebody's alias or forward
            self._bury(str(address), NO_ADDRESS)
            return
        sender = self._outer_sender(step)
        self._add(
            Branch(
                road="remote",
                address=str(address),
                domain=a_labels(address.domain),
                sender=self._worldly(sender),
                redistributed=sender is not None and sender in (step.owner, *step.path),
                via=self._hop(address),
            ),
            step,
        )

    def _hop(self, address: Address) -> str:
        found = self.rules.maps.find("transport", address, self.known)
        return found.targets[0] if found else ""

    def _worldly(self, sender: str | None) -> str | None:
        """Return the sender as the map generic wants it outside; None if it stays the message's."""
        own = self.sender if sender is None else sender
        if "generic" not in self.rules.maps.kinds or not own:
            return sender
        try:
            after = rewritten(parse_address(own), OUTSIDE, self.rules.maps, self.known)
        except BadAddress:
            return sender
        self.missing.update(after.missing)
        return str(after.address) if after.by else sender

    def _owner(self, step: Step) -> str | None:
        """A bounce keeps the null sender, whatever it passes (RFC 5321 §4.5.5)."""
        return step.owner if self.sender and step.owner else None

    def _outer_sender(self, step: Step) -> str | None:
        """Return the sender that a forwarded message needs outside, None for its own."""
        if not self.sender or not step.domain:
            return None
        if step.owner:
            return step.owner
        try:
            sender = parse_address(self.sender)
        except BadAddress:
            return None
        if not self._knows(sender) or find(sender, self.known) is not None:
            return None  # a sender of ours may send from here
        way_back = self.rules.rewriter.forward(sender, step.domain, self.rules.today)
        return way_back or step.began

    def _knows(self, address: Address) -> bool:
        keys = (*keys_of(address), *self.rules.maps.keys(address))
        unknown = [key for key in keys if key not in self.known]
        self.missing.update(unknown)
        return not unknown

    def _bury(self, address: str, why: Dead) -> None:
        self.dead[address.lower()] = why
        self._add(Branch(road="local", address=address))

    def _add(self, branch: Branch, step: Step | None = None) -> None:
        """Keep the first way to each address; a living one before a dead one."""
        key = branch.address.lower()
        self._found.setdefault(key, branch)
        if step is not None:
            self.trails.setdefault(key, step.trail)
