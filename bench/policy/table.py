"""The run: one house, nothing checked at first, then everything; the figures beside what was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench import processor
from bench.measuring import Course, Run, measure
from bench.ours import Posthouse, posthouse
from bench.policy.asking import Figure, Question, in_turn, paced, pinned
from bench.policy.beside import noops
from bench.policy.letters import Author
from bench.policy.names import names
from bench.policy.pod import BENCH, GREY, SETTINGS, Pod, pod_of, users
from bench.policy.routing import route
from bench.system import Unfit
from posthouse.mail.ids import new_id

USERS = 100
PACE, PACED = 100, 1500  # questions a second; in all
WARM_UP = 100
RCPTS = 2000
FEW_RULES, MANY_RULES = 200, 10_000
FEW_ENTRIES, MANY_ENTRIES = 10, 10_000
SMALL = Course(name="small", count=600, reuse=True)
LARGE = Course(name="10 MiB", count=12, sessions=4, octets=10 * 1024 * 1024, reuse=True)
PROCESSOR_MS, LATEST_MS, PER_SECOND, KNOWN_MS = 5.0, 30.0, 2000.0, 1.0  # asked for

Say = Callable[[str], None]


async def run(say: Say) -> int:
    """Measure and tell; return 1 if less was reached than is asked for."""
    author = Author()
    with names(author.records) as nameservers:
        settings = {**SETTINGS, "POSTHOUSE_NAMESERVERS": nameservers}
        async with posthouse(BENCH, users(USERS), say, settings) as system, pod_of(system) as pod:
            pinned(pod.pid)
            return await _measure(system, pod, author, say)


async def _measure(system: Posthouse, pod: Pod, author: Author, say: Say) -> int:
    say(f"a fixed loop: {processor.calibration():.1f} ms")
    await measure(system, Course(name="warm-up", count=WARM_UP, reuse=True), users(USERS))
    off = await _mails(system, "nothing checked", say)
    none = await _rcpts(pod, "RCPT, no rules")
    await pod.teach()
    await pod.fill(FEW_RULES)
    await pod.restart({"POSTHOUSE_AUTHENTICATION": "on"})
    on = await _mails(system, "authentication, 200 rules, Bayes", say)
    for before, after in zip(off, on, strict=True):
        _compared(before, after, say)
    routed = await route(pod)
    say(
        f"routing: {routed.recipients / routed.seconds:.0f} recipients/s, "
        f"{routed.recipients / routed.processor_seconds:.0f}/s of CPU (asked: {PER_SECOND:.0f})"
    )
    await pod.introduce()
    admission = await _admission(pod, author)
    _tell(admission, say, f"asked: {PROCESSOR_MS:.0f} ms CPU, p99 {LATEST_MS:.0f} ms")
    known = await in_turn("greylist, known", pod.pid, _known(pod), RCPTS)
    _tell(known, say, f"asked: {KNOWN_MS:.0f} ms more than RCPT at most")
    few = await _rcpts(pod, "RCPT, 200 rules")
    await pod.fill(MANY_RULES)
    many = await _rcpts(pod, "RCPT, 10,000 rules")
    await pod.write(FEW_ENTRIES)
    listed = await _rcpts(pod, "RCPT, 10 entries of allow and deny lists")
    await pod.write(MANY_ENTRIES)
    lists = await _rcpts(pod, "RCPT, 10,000 entries")
    for each in (none, few, many, listed, lists):
        _tell(each, say, "asked: no difference, but for that there are entries at all")
    is_slow = admission.processor_ms > PROCESSOR_MS or admission.wait(0.99) > LATEST_MS
    return int(is_slow or routed.recipients / routed.processor_seconds < PER_SECOND)


async def _mails(system: Posthouse, what: str, say: Say) -> list[Run]:
    runs = [await measure(system, SMALL, users(USERS))]
    async with noops(system.port) as waits:
        runs.append(await measure(system, LARGE, users(USERS)))
    waits.sort()
    for found in runs:
        say(
            f"{what}, {found.course}: {found.accepted_per_second:.0f} accepted/s, "
            f"{found.accepted_per_second * found.octets / 1e6:.0f} MB/s, {found.total_ms:.2f} CPU ms "
            f"(ingress {found.processor_ms['ingress-smtp']:.2f}, "
            f"policy {found.processor_ms['policy']:.2f}), others {found.others_share:.0%}"
        )
    say(
        f"  NOOP to ingress beside the large ones: p50 {waits[len(waits) // 2]:.1f} ms, "
        f"p99 {waits[int(len(waits) * 0.99)]:.1f} ms, longest {waits[-1]:.1f} ms"
    )
    return runs


def _compared(before: Run, after: Run, say: Say) -> None:
    say(
        f"checks cost {before.course}: {after.total_ms - before.total_ms:+.2f} CPU ms a mail "
        f"({after.total_ms / before.total_ms:.2f} times)"
    )


async def _admission(pod: Pod, author: Author) -> Figure:
    idents = [new_id() for _ in range(PACED + WARM_UP)]
    letters = list(author.letters(idents))

    async def ask(n: int) -> None:
        verdict = await pod.rcpt(n, f"u000@{GREY}")
        judged = await pod.content(n, idents[n], letters[n])
        if not verdict.accepts or judged.refuses or b"dmarc=pass" not in judged.header:
            raise Unfit(f"{verdict.text}; {judged.text or judged.header[:500]!r}")

    await in_turn("warm-up", pod.pid, ask, WARM_UP)
    return await paced(
        "admission at 100 a second", pod.pid, lambda n: ask(n + WARM_UP), PACED, PACE
    )


async def _rcpts(pod: Pod, name: str) -> Figure:
    people: Sequence[str] = users(USERS)

    async def ask(n: int) -> None:
        await pod.rcpt(n, people[n % USERS])

    await in_turn("warm-up", pod.pid, ask, WARM_UP)
    return await in_turn(name, pod.pid, ask, RCPTS)


def _known(pod: Pod) -> Question:
    async def ask(n: int) -> None:
        if not (await pod.rcpt(n, f"u000@{GREY}")).accepts:
            raise Unfit("a known sender is told to come again")

    return ask


def _tell(figure: Figure, say: Say, asked: str) -> None:
    say(
        f"{figure.name}: {figure.processor_ms:.2f} ms CPU, p50 {figure.wait(0.5):.2f} ms, "
        f"p99 {figure.wait(0.99):.2f} ms, longest {figure.waits_ms[-1]:.2f} ms ({asked})"
    )
