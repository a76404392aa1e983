"""Threads of messages (RFC 5256 §3 THREAD): the tree, without recursion, in nearly linear time.

Nodes are numbers: messages in the order they were added, then dummies for ids that no message has.
Only parents are kept while links are made; children follow from them in the end.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from posthouse.mime.ordering import Member

NOBODY: Final = -1
MAX_REFERENCES = 20_000_000  # of all messages; behind them each counts with its parent alone
MAX_CLIMB = 10_000  # ancestors looked at before a link is held for a loop
MAX_CLIMBED = 10_000_000  # for all links together, likewise: some seconds

Tree = tuple[Sequence[int], "dict[int, list[int]]"]  # roots and children of nodes


@dataclass(slots=True)
class Threader:
    """Builds threads; messages come in mailbox order.

    Attributes:
        uids: Of the messages.
    """

    uids: list[int] = field(default_factory=list)
    _sent: list[int] = field(default_factory=list)
    _subject: list[int] = field(default_factory=list)
    _is_reply: bytearray = field(default_factory=bytearray)
    _node_of: dict[int, int] = field(default_factory=dict)
    _parent: dict[int, int] = field(default_factory=dict)
    _family: dict[int, int] = field(default_factory=dict)
    _parents: set[int] = field(default_factory=set)
    _climbed: int = 0
    _linked: array[int] = field(default_factory=lambda: array("q"))
    _ends: array[int] = field(default_factory=lambda: array("q"))
    _references: array[int] = field(default_factory=lambda: array("q"))

    def add(self, members: Iterable[Member]) -> None:
        """Take messages."""
        for uid, sent, ident, subject, is_reply, references in members:
            node = len(self.uids)
            self.uids.append(uid)
            self._sent.append(sent)
            self._subject.append(subject)
            self._is_reply.append(is_reply)
            if ident >= 0:
                self._node_of.setdefault(ident, node)
            if references:
                is_full = len(self._references) > MAX_REFERENCES
                self._references.extend(references[-1:] if is_full else references)
                self._linked.append(node)
                self._ends.append(len(self._references))

    def by_subject(self) -> Tree:
        """ORDEREDSUBJECT."""
        groups: dict[int, list[int]] = {}
        for node, subject in enumerate(self._subject):
            groups.setdefault(subject, []).append(node)
        children = {}
        for group in groups.values():
            group.sort(key=self._sent.__getitem__)
            if len(group) > 1:
                children[group[0]] = group[1:]
        heads = sorted(group[0] for group in groups.values())
        return sorted(heads, key=self._sent.__getitem__), children

    def by_references(self) -> Tree:
        """REFERENCES: the six steps."""
        start = 0
        for node, end in zip(self._linked, self._ends, strict=True):
            self._link_all(node, self._references[start:end])
            start = end
        roots, children = self._pruned()
        roots = self._merged(sorted(roots, key=self._age(children)), children)
        for siblings in children.values():
            siblings.sort(key=self._age(children))
        return sorted(roots, key=self._age(children)), children

    # ---- step 1

    def _link_all(self, node: int, references: Sequence[int]) -> None:
        before = NOBODY
        for ident in references:
            one = self._node(ident)
            if before != NOBODY and one not in self._parent:
                self._link(before, one)
            before = one
        if self._parent.get(node) != before:
            self._parent.pop(node, None)
            self._link(before, node)

    def _node(self, ident: int) -> int:
        """Return the message with this id, or a dummy."""
        node = self._node_of.get(ident)
        if node is None:
            node = self._node_of[ident] = len(self.uids) + len(self._node_of)
        return node

    def _link(self, parent: int, child: int) -> None:
        if parent == child or (child in self._parents and self._is_above(child, parent)):
            return
        self._parent[child] = parent
        self._parents.add(parent)
        self._family[self._head(child)] = self._head(parent)

    def _is_above(self, node: int, below: int) -> bool:
        """True if ``node`` is an ancestor of ``below``, or might be."""
        if self._head(node) != self._head(below):
            return False
        for step in range(min(MAX_CLIMB, MAX_CLIMBED - self._climbed)):
            if below == node or below not in self._parent:
                self._climbed += step
                return below == node
            below = self._parent[below]
        self._climbed += min(MAX_CLIMB, MAX_CLIMBED - self._climbed)
        return True

    def _head(self, node: int) -> int:
        """Return who stands for all that were ever linked with ``node``."""
        family, way = self._family, []
        while (above := family.get(node, node)) != node:
            way.append(node)
            node = above
        for passed in way:
            family[passed] = node
        return node

    # ---- steps 2 and 3

    def _pruned(self) -> tuple[list[int], dict[int, list[int]]]:
        """Return the roots, and the children of nodes, without dummies but those that join roots."""
        many, children = len(self.uids), dict[int, list[int]]()
        for child in sorted(self._parent):
            children.setdefault(self._parent[child], []).append(child)
        nodes = {*range(many), *self._node_of.values()}
        roots = [node for node in sorted(nodes) if node not in self._parent]
        order = list(roots)
        for node in order:  # grows: parents before their children
            order += children.get(node, ())
        for node in reversed(order):
            if node in children:
                children[node] = self._spliced(children[node], children)
        kept: list[int] = []
        for root in roots:
            if root < many or len(children.get(root, ())) > 1:
                kept.append(root)
            else:
                kept += children.pop(root, ())
        return kept, {node: kids for node, kids in children.items() if kids}

    def _spliced(self, kids: list[int], children: dict[int, list[int]]) -> list[int]:
        many, found = len(self.uids), list[int]()
        for kid in kids:
            if kid < many:
                found.append(kid)
            else:
                found += children.pop(kid, ())
        return found

    # ---- steps 4 to 6

    def _age(self, children: dict[int, list[int]]) -> _Age:
        return _Age(self._sent, children)

    def _merged(self, roots: list[int], children: dict[int, list[int]]) -> list[int]:
        """Join threads of one base subject (step 5)."""
        many, age = len(self.uids), self._age(children)
        subjects = {root: self._subject[age.first(root)] for root in roots}
        table = self._table(roots, subjects)
        kept: dict[int, None] = dict.fromkeys(roots)
        dummy = many + len(self._node_of)
        for root in roots:
            held = table[subjects[root]]
            if not subjects[root] or held == root:
                continue
            del kept[root]
            if held >= many:
                children[held] += children.pop(root) if root >= many else [root]
            elif root < many and self._is_reply[root] and not self._is_reply[held]:
                children.setdefault(held, []).append(root)
            else:
                del kept[held]
                children[dummy] = [held, root]
                kept[dummy] = None
                table[subjects[root]] = dummy
                dummy += 1
        return list(kept)

    def _table(self, roots: list[int], subjects: dict[int, int]) -> dict[int, int]:
        """Return for each subject the thread that takes the others in (step 5.B)."""
        many, table = len(self.uids), dict[int, int]()
        for root in roots:
            held = table.setdefault(subjects[root], root)
            if held < many and (root >= many or self._is_reply[held] > self._is_reply[root]):
                table[subjects[root]] = root
        return table


class _Age:
    """The sort key of nodes: sent date, then mailbox order; a dummy's is that of its first child."""

    __slots__ = ("_children", "_sent")

    def __init__(self, sent: list[int], children: dict[int, list[int]]) -> None:
        self._sent = sent
        self._children = children

    def __call__(self, node: int) -> tuple[int, int]:
        node = self.first(node)
        return self._sent[node], node

    def first(self, node: int) -> int:
        """Return ``node``, or a dummy's child that was sent first; below dummies are messages."""
        if node < len(self._sent):
            return node
        return min(self._children[node], key=self)


def written(tree: Tree, numbers: Sequence[int]) -> bytes:
    """Return ``1*thread-list``; ``numbers`` are what messages are called, dummies have none."""
    roots, children = tree
    pieces: list[bytes] = []
    todo: list[int | bytes] = []
    for root in reversed(roots):
        todo += [b")", root, b"("]
    while todo:
        one = todo.pop()
        if isinstance(one, bytes):
            pieces.append(one)
            continue
        kids = children.get(one, ())
        if len(kids) == 1:
            todo.append(kids[0])
        else:
            for kid in reversed(kids):
                todo += [b")", kid, b"("]
        if one < len(numbers):
            pieces.append(b"%d" % numbers[one])
            if kids:
                todo.append(b" ")
    return b"".join(pieces)
