"""What goes from a node's books with the keys of a month; ``store`` runs it (`spec/nodes.md`, NODE-214 to NODE-217).

Each statement takes ``:before``, the first instant that is kept. Gone is what would tell an officer, a case or a reason
beside an act of an earlier month: whoever has the ledger and the key file finds nothing here that leads on. What stays
is what the log shows as well, and content that is still held for a reason of its own.
"""

from __future__ import annotations

from typing import Final

WAITING: Final = {
    "a message": "SELECT count(*) FROM outbox WHERE state IN ('pending', 'pending_release') AND made < :before",
    "an act": "SELECT count(*) FROM acts WHERE way = 'out' AND state = 'pending' AND made < :before",
    "a review of an emergency": "SELECT count(*) FROM emergency WHERE verdict IS NULL AND at < :before",
    "an exculpatory notice": "SELECT count(*) FROM task WHERE done IS NULL AND due < :before",
    "an ask for consent": "SELECT count(*) FROM consents WHERE kind = 'ask' AND way = 'in' AND state = 'open' "
    "AND at < :before AND until > :now",
    "a refusal": "SELECT count(*) FROM answer WHERE state = 'waiting' AND due < :before",
}
"""What of a month still waits, perhaps for a second person, who must not be the first."""

CHAINED: Final = "SELECT count(*) FROM ledger_closed WHERE ts < :before"
"""Acts of a ledger that was a chain: they name their officers, and nothing can be taken out of them."""

OVERWRITE: Final = (
    "UPDATE period SET secret = zeroblob(length(secret)) WHERE name < :month AND secret IS NOT NULL",
    "UPDATE period SET secret = NULL, destroyed = :now WHERE name < :month AND secret IS NOT NULL",
)
"""The keys: first other bytes of the same length in their place, then none."""

FORGET: Final = (
    "UPDATE ledger SET who = NULL WHERE ts < :before",
    "UPDATE outbox SET officer = '', request_key = NULL, request_digest = NULL, act = NULL WHERE made < :before",
    "UPDATE outbox SET approved_by = '' WHERE made < :before AND approved_by IS NOT NULL",
    "UPDATE outbox SET released_by = '' WHERE made < :before AND released_by IS NOT NULL",
    "UPDATE outbox SET case_name = '' WHERE made < :before AND content IS NULL",
    "UPDATE inbox SET case_name = '' WHERE received < :before AND erased IS NOT NULL",
    "UPDATE acts SET ledger = NULL WHERE made < :before",
    "UPDATE task SET officer = NULL WHERE done < :before",
    "UPDATE consents SET officer = NULL WHERE at < :before",
    "UPDATE flag SET officer = '' WHERE made < :before",
    "DELETE FROM flag WHERE coalesce(lifted, until) < :before",
    "DELETE FROM emergency WHERE at < :before",
    "DELETE FROM answer WHERE due < :before",
    "DELETE FROM session WHERE expires < :before",
)
