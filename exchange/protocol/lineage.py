"""Lineage: who holds what came from a message, and what that allows (ACT-6 to ACT-15, MSG-34).

A message that says what it was derived from hangs in a tree below it. This module keeps that tree and the acts about
its messages, as the log has them, and answers three questions from them alone: who holds something of a message, may
this agency do this act about it, and which rules bind somebody who derives another message from it.

A ``Lineage`` need not know the whole log. For ``sources_for`` it has to know the sources, everything they were derived
from, and the acts about all of these; for ``may``, ``addressees`` and ``holders`` the message, everything derived from
it, the acts about it and, for a ``rectify``, the correcting message with what that was derived from. What it is given
beyond this changes no answer. It grows in place: disclosures are given in the order of the log, and so are acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from exchange.protocol.act import (
    AFTER,
    Acknowledge,
    Act,
    ActTerms,
    Answer,
    Ask,
    Consent,
    Decline,
    Erased,
    Keep,
    Recall,
    Rectify,
    Restrict,
    Withdraw,
)
from exchange.protocol.errors import ActNotTheirs, ActRefused
from exchange.protocol.matching import Consent as Allowed
from exchange.protocol.matching import Source
from exchange.protocol.obligations import owed
from exchange.protocol.vocabulary import ActKind, ConsentFor, Handling, HolderAnswer, MessageType, Onward
from keys.encoding import instant

if TYPE_CHECKING:
    from exchange.protocol.entry import DisclosureEntry
    from exchange.protocol.terms import AgreementTerms

MAX_LINEAGE: Final = 256
"""Messages that one message may come from, near and far; with more, they count as unknown (ACT-20, ADM-52)."""
ANSWER_WITHIN: Final = timedelta(hours=72)
"""How long a holder may be silent about a restriction, rectification or recall before it is listed (LOG-47)."""
_STRICTNESS: Final = {onward.value: onward.rank for onward in Onward}
_SHUT: Final = Onward.NONE.value
_OUTCOMES: Final = {
    ActKind.RESTRICT: {HolderAnswer.RESTRICTED, HolderAnswer.ERASED, HolderAnswer.RETAINED},
    ActKind.RECTIFY: {HolderAnswer.RECTIFIED, HolderAnswer.RESTRICTED, HolderAnswer.ERASED, HolderAnswer.RETAINED},
    ActKind.RECALL: {HolderAnswer.ERASED, HolderAnswer.RESTRICTED, HolderAnswer.RETAINED},
}


@dataclass(frozen=True, slots=True)
class Passed:
    """A disclosure, as far as it matters to what is derived from it."""

    seq: int
    entry: DisclosureEntry
    terms: AgreementTerms | None

    @property
    def sender(self) -> str:
        """Who disclosed it: the originator, to everybody below."""
        return self.entry.from_

    @property
    def src(self) -> tuple[str, ...]:
        """What it was derived from, at first hand."""
        return self.entry.src or ()

    def names(self, agency: str) -> bool:
        """Whether it was disclosed to this agency."""
        return any(to.id == agency for to in self.entry.to)

    def onward(self, recipient: str) -> str:
        """The onward rule that binds this recipient; the strictest where the agreement does not tell."""
        try:
            return owed(self.entry, recipient, self.terms).onward if self.terms else _SHUT
        except KeyError:
            return _SHUT


@dataclass(frozen=True, slots=True)
class Followed:
    """A restriction, rectification or recall: whom it concerns, and what each of them answered."""

    seq: int
    act: Act
    holders: Mapping[str, str]
    """Every holder when it was logged, and the message through which it holds."""
    answers: dict[str, tuple[int, Act]] = field(default_factory=dict)
    """The last answer of each holder, with its index."""


class Lineage:
    """The tree of onward disclosures and the acts about them, as far as they were given to it."""

    __slots__ = ("_acts", "_answered", "_below", "_emptied", "_erased", "_followed", "_passed", "_statements")

    def __init__(self) -> None:
        self._passed: dict[str, Passed] = {}
        self._below: dict[str, list[str]] = {}
        self._acts: dict[str, list[tuple[int, Act]]] = {}
        self._statements: dict[str, Act] = {}
        self._followed: dict[str, Followed] = {}
        self._answered: set[str] = set()  # asks that were consented to or declined, and consents withdrawn
        self._erased: dict[tuple[str, str], Act] = {}  # agency, message: it said that it erased this very message
        self._emptied: dict[tuple[str, str], tuple[int, Act]] = {}  # the same of everything that came from it

    # -- what the log says --

    def with_disclosure(self, seq: int, entry: DisclosureEntry, terms: AgreementTerms | None) -> Self:
        """Take up a disclosure: its index, and the terms of its agreement if they are known."""
        if entry.msg not in self._passed:
            self._passed[entry.msg] = Passed(seq, entry, terms)
            for source in entry.src or ():
                self._below.setdefault(source, []).append(entry.msg)
        return self

    def with_act(self, seq: int, act: Act) -> Self:
        """Take up an act that ``may`` did not refuse, with its index."""
        terms = act.terms
        if act.digest in self._statements:
            return self
        self._statements[act.digest] = act
        self._acts.setdefault(terms.msg, []).append((seq, act))
        if act.kind in AFTER:
            self._followed[act.digest] = Followed(seq, act, self.holders(terms.msg, before=seq))
        if isinstance(terms, Consent | Decline | Withdraw) and terms.re is not None:
            self._answered.add(terms.re)
        if isinstance(terms, Answer):
            self._take_answer(seq, act, terms)
        if isinstance(terms, Erased):
            self._erased.setdefault((terms.by, terms.msg), act)
        return self

    def _take_answer(self, seq: int, act: Act, terms: Answer) -> None:
        erased = terms.outcome is HolderAnswer.ERASED
        if erased:
            self._erased.setdefault((terms.by, terms.msg), act)
            self._emptied[terms.by, terms.msg] = (seq, act)
        for _, earlier in self._acts[terms.msg]:
            followed = self._followed.get(earlier.digest)
            # Who has erased everything has answered whatever was asked of it before about the message.
            if followed and (earlier.digest == terms.re or (erased and terms.by not in followed.answers)):
                followed.answers[terms.by] = seq, act

    def knows(self, msg: str) -> bool:
        """Whether the disclosure of this message was given to it."""
        return msg in self._passed

    def statements(self) -> dict[str, Act]:
        """Every act that was given to it, by digest."""
        return dict(self._statements)

    def statement(self, digest: str) -> Act | None:
        """The act of this digest."""
        return self._statements.get(digest)

    def about(self, msg: str) -> tuple[tuple[int, Act], ...]:
        """The acts about this message, each with its index, in the order of the log."""
        return tuple(self._acts.get(msg, ()))

    # -- the tree --

    def holders(self, msg: str, before: int | None = None) -> dict[str, str]:
        """Who holds something of this message, and through which one it came to them; not its originator (ACT-7).

        Its recipients, and the recipients of whatever was derived from it, in the order of the log. With
        ``before``, as it was when the log had that many entries.
        """
        root = self._passed.get(msg)
        found: dict[str, str] = {}
        if root is None:
            return found
        for passed in sorted((root, *self._descendants(msg)), key=lambda one: one.seq):
            if before is None or passed.seq < before:
                for to in passed.entry.to:
                    found.setdefault(to.id, passed.entry.msg)
        found.pop(root.sender, None)
        return found

    def _descendants(self, msg: str) -> Iterator[Passed]:
        waiting, seen = list(self._below.get(msg, ())), {msg}
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += self._below.get(name, ())
                if name in self._passed:
                    yield self._passed[name]

    def _ancestors(self, msg: str) -> set[str]:
        """The message and all it came from, near and far; one more than allowed at most."""
        found, waiting = {msg}, [msg]
        while waiting and len(found) <= MAX_LINEAGE:
            passed = self._passed.get(waiting.pop())
            for name in passed.src if passed else ():
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return found

    # -- who may do what --

    def may(self, terms: ActTerms) -> None:
        """Refuse an act that its author has not the standing for, or that what happened before leaves no room for."""
        passed = self._passed.get(terms.msg)
        mine, holders = passed is not None and passed.sender == terms.by, self.holders(terms.msg)
        if passed is None or not (mine or terms.by in holders):
            # One sentence for both, so that nobody learns what was disclosed to others.
            raise ActNotTheirs(f"no message of that digest was disclosed by `{terms.by}` or came to it")
        if isinstance(terms, Consent | Decline | Withdraw | Restrict | Recall | Rectify):
            if not mine:
                raise ActNotTheirs(f"`{terms.act}` is for the originator of the message alone, and `{terms.by}` is not")
            self._may_originator(terms, passed)
        elif isinstance(terms, Acknowledge | Keep | Erased):
            if not passed.names(terms.by):
                raise ActNotTheirs(f"`{terms.act}` is for those to whom this very message was disclosed")
            self._may_recipient(terms, passed)
        elif mine:
            raise ActNotTheirs(f"`{terms.act}` is for those who hold the message of another")
        elif isinstance(terms, Answer):
            self._may_answer(terms)

    def _may_originator(
        self, terms: Consent | Decline | Withdraw | Restrict | Recall | Rectify, passed: Passed
    ) -> None:
        if isinstance(terms, Consent):
            if terms.holder not in self.holders(terms.msg):
                raise ActRefused(f"`{terms.holder}` holds nothing of this message, so there is nothing to consent to")
            if terms.re is not None and terms.holder != self._asked(terms.re, terms.msg, terms.want).by:
                raise ActRefused("the consent is for another holder than the one who asked")
        elif isinstance(terms, Decline):
            self._asked(terms.re, terms.msg)
        elif isinstance(terms, Withdraw):
            consent = self._statements.get(terms.re)
            if consent is None or not isinstance(consent.terms, Consent) or consent.terms.msg != terms.msg:
                raise ActRefused("there is no consent of that digest about this message")
            if terms.re in self._answered:
                raise ActRefused("this consent was withdrawn before")
        elif isinstance(terms, Rectify):
            self._may_rectify(terms)
        elif passed.entry.type is MessageType.EXCULPATORY_NOTICE:
            raise ActRefused("what speaks for an accused is not taken back: say by a `rectify` what is wrong with it")
        elif any(act.kind == terms.kind for _, act in self._acts.get(terms.msg, ())):
            raise ActRefused(f"there was a {terms.act} of this message before, and it stands")

    def _asked(self, re: str, msg: str, want: ConsentFor | None = None) -> ActTerms:
        ask = self._statements.get(re)
        if ask is None or not isinstance(ask.terms, Ask) or ask.terms.msg != msg or want not in (None, ask.terms.want):
            raise ActRefused("nobody asked this about the message")
        if re in self._answered:
            raise ActRefused("this was answered before")
        return ask.terms

    def _may_rectify(self, terms: Rectify) -> None:
        correcting = self._passed.get(terms.by_msg)
        if correcting is None or correcting.sender != terms.by:
            raise ActRefused("the correcting message was not disclosed by the originator of what it corrects")
        if terms.msg in self._ancestors(terms.by_msg):
            raise ActRefused("the correcting message names what it corrects among its sources, and would be stopped")

    def _may_recipient(self, terms: Acknowledge | Keep | Erased, passed: Passed) -> None:
        if isinstance(terms, Acknowledge) and Handling.H3 not in passed.entry.handling:
            raise ActRefused("the message has no handling text, so there is nothing to acknowledge")
        if isinstance(terms, Keep) and (terms.by, terms.msg) in self._erased:
            raise ActRefused(f"`{terms.by}` said that it erased this message, so it cannot keep it")

    def _may_answer(self, terms: Answer) -> None:
        followed = self._followed.get(terms.re)
        if followed is None or followed.act.terms.msg != terms.msg:
            raise ActRefused("there is no restriction, rectification or recall of that digest to answer")
        if terms.outcome not in _OUTCOMES[followed.act.kind]:
            raise ActRefused(f"`{terms.outcome}` is no answer to `{followed.act.kind}`")
        earlier = followed.answers.get(terms.by)
        if terms.outcome is not HolderAnswer.ERASED and earlier is not None and _is_erased(earlier[1]):
            raise ActRefused(f"`{terms.by}` answered that it erased everything, so it has nothing left")

    def addressees(self, terms: ActTerms) -> tuple[str, ...]:
        """Everybody who is told of an act, besides who does it, in ascending order (ACT-10)."""
        told: set[str] = set()
        if isinstance(terms, Restrict | Recall | Rectify):
            told = set(self.holders(terms.msg))
        elif isinstance(terms, Consent):
            told = {terms.holder, *(terms.to or ())}
        elif isinstance(terms, Decline | Withdraw):
            earlier = self._statements.get(terms.re)
            if earlier is not None:
                told = set(self.addressees(earlier.terms)) if isinstance(terms, Withdraw) else {earlier.terms.by}
        elif (passed := self._passed.get(terms.msg)) is not None:
            told = {passed.sender}
        return tuple(sorted(told - {terms.by}))

    # -- what binds a message that is derived from others --

    def sources_for(self, src: Sequence[str], discloser: str) -> tuple[Source, ...]:
        """Everything that a message of ``discloser`` with these ``src`` comes from, with what binds it (MSG-34).

        The sources' own sources count as well, however far back, so that no chain washes a rule off. The
        discloser's own messages bind it to nothing and are left out; what they came from is not.
        """
        paths = {name: self._ancestors(name) for name in src}
        every = set().union(*paths.values())
        if len(every) > MAX_LINEAGE:
            return tuple(_unknown(name) for name in src)
        own = {name for name in every if name in self._passed and self._passed[name].sender == discloser}
        rules: dict[str, str] = {}  # worked out once for each: of ways through a tree there are far more than messages
        return tuple(self._source(name, discloser, paths, every, rules) for name in sorted(every - own))

    def _source(
        self, name: str, discloser: str, paths: Mapping[str, set[str]], every: set[str], rules: dict[str, str]
    ) -> Source:
        passed = self._passed.get(name)
        # A message named as a source must have been had at first hand, even if another source came from it.
        if passed is None or (name in paths and not passed.names(discloser)):
            return _unknown(name)
        return Source(
            msg=name,
            originator=passed.sender,
            holder_had=True,
            stopped=self._stopped(name) or self._gave_up(discloser, name, paths) is not None,
            onward=self._binding(passed, discloser, every, rules),
            parties=frozenset(passed.terms.parties) if passed.terms else frozenset(),
            consents=tuple(self._consents(name, discloser)),
        )

    def _stopped(self, name: str) -> bool:
        return any(act.kind in AFTER for _, act in self._acts.get(name, ()))

    def _gave_up(self, discloser: str, name: str, paths: Mapping[str, set[str]]) -> Act | None:
        """The act by which the discloser said that it has this no more."""
        if name in paths and (erased := self._erased.get((discloser, name))):
            return erased
        emptied = self._emptied.get((discloser, name))
        if emptied is None:
            return None
        seq, act = emptied
        # What reached it after it had erased everything is another copy, which it may hold.
        through = [self._passed[one].seq for one, path in paths.items() if name in path and one in self._passed]
        return act if any(one < seq for one in through) else None

    def _binding(self, passed: Passed, discloser: str, every: set[str], known: dict[str, str]) -> str:
        """The onward rule for somebody who holds a message itself, or else of those who passed it on."""
        name, direct = passed.entry.msg, passed.names(discloser)
        if name not in known:
            below = [] if direct else [self._passed[one] for one in every.intersection(self._below.get(name, ()))]
            others = [one for one in below if one.sender not in (discloser, passed.sender)]
            rules = [passed.onward(one.sender) for one in others]
            rules += [self._binding(one, discloser, every, known) for one in below if one.sender == passed.sender]
            known[name] = passed.onward(discloser) if direct else max(rules, key=_STRICTNESS.__getitem__, default=_SHUT)
        return known[name]

    def _consents(self, msg: str, holder: str) -> Iterator[Allowed]:
        for _, act in self._acts.get(msg, ()):
            terms = act.terms
            if isinstance(terms, Consent) and terms.want is ConsentFor.ONWARD and terms.holder == holder:
                yield Allowed(
                    holder=holder,
                    to=frozenset(terms.to or ()),
                    purposes=frozenset(str(purpose) for purpose in terms.purposes),
                    until=instant(terms.until),
                    withdrawn=act.digest in self._answered,
                    fields=terms.fields,
                )

    # -- what became of it --

    def followed(self) -> tuple[Followed, ...]:
        """Every restriction, rectification and recall with its answers so far, in the order of the log (LOG-47)."""
        return tuple(self._followed.values())

    def unanswered(self, at: datetime, within: timedelta = ANSWER_WITHIN) -> Iterator[tuple[Followed, str]]:
        """Each holder that has been silent for longer than ``within`` at ``at``, in the order of the log."""
        for followed in self._followed.values():
            if at - followed.act.at > within:
                yield from ((followed, holder) for holder in followed.holders if holder not in followed.answers)

    def contradicted(self, agency: str, src: Iterable[str]) -> Act | None:
        """The act by which this agency said it had erased what it now discloses from (LOG-48)."""
        paths = {name: self._ancestors(name) for name in src}
        every = sorted(set().union(*paths.values())) if paths else []
        return next((act for name in every if (act := self._gave_up(agency, name, paths))), None)

    def erased(self, agency: str, msg: str) -> Act | None:
        """The act by which this agency said that it erased this very message."""
        return self._erased.get((agency, msg))


def _is_erased(act: Act) -> bool:
    return isinstance(act.terms, Answer) and act.terms.outcome is HolderAnswer.ERASED


def _unknown(name: str) -> Source:
    return Source(name, "", False, False, _SHUT, frozenset(), ())
