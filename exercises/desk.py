"""An officer at a node, over real HTTP: what the demo's characters do, they do through this.

One ``Desk`` is one signed-in officer. Answers are plain JSON; a refusal is raised as ``Turned`` with the
node's own code. Every call is kept for ``transcripts.json``, without passphrases, tokens and content.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx

JUSTIFICATION: Final = {"code": "training", "text": "a demonstration on invented data, nothing else"}
_REASON: Final = {"Justification-Code": JUSTIFICATION["code"], "Justification": quote(JUSTIFICATION["text"])}
PATIENCE: Final = 20.0
"""Real seconds a desk waits for something that others have to do first."""
T = TypeVar("T")


class Turned(RuntimeError):
    """A node refused: ``code`` says what, ``status`` is the HTTP status."""

    def __init__(self, code: str, sentence: str, status: int) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code, self.sentence, self.status = code, sentence, status


class Desk:
    """One officer, signed in at one node."""

    def __init__(self, url: str, agency: str, officer: str, passphrase: Path, transcript: list[dict[str, Any]]) -> None:
        self.agency, self.officer, self._transcript = agency, officer, transcript
        self._passphrase = passphrase
        self._http = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False)
        secret = passphrase.read_text(encoding="utf-8").strip()
        token = self.call("POST", "/v1/sign-in", {"officer": officer, "passphrase": secret})["token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> dict[str, Any]:
        """Make one call; returns the answer's members, or raises ``Turned``."""
        began = time.perf_counter()
        answer = self._http.request(method, path, json=body, headers=headers)
        said = answer.json()
        ms = round(1000 * (time.perf_counter() - began), 1)
        note = {
            "agency": self.agency,
            "officer": self.officer,
            "call": f"{method} {path}",
            "status": answer.status_code,
        }
        self._transcript.append({**note, "ms": ms, **({"code": said["code"]} if "code" in said else {})})
        if answer.is_success:
            return dict(said)
        raise Turned(str(said.get("code")), str(said.get("detail")), answer.status_code)

    # -- what officers do --

    def check(self, draft: dict[str, Any]) -> dict[str, Any]:
        """Ask what would happen if this were sent."""
        return self.call("POST", "/v1/messages/check", {"draft": draft})

    def send(self, draft: dict[str, Any], *, ruling: bool = False) -> dict[str, Any]:
        """Send a draft; ``ruling`` wants the broker's word even on what is denied here."""
        return self.call("POST", "/v1/messages", {"draft": draft, "ruling": ruling, "justification": JUSTIFICATION})

    def release(self, ref: str) -> dict[str, Any]:
        """Let a waiting message go."""
        return self.call("POST", f"/v1/releases/{ref}", {"approve": True, "justification": JUSTIFICATION})

    def open(self, message: str) -> dict[str, Any]:
        """Open a message, after what it asks to acknowledge; its content."""
        why = {"justification": JUSTIFICATION}
        if self.call("POST", f"/v1/messages/{message}/condition", why)["handling_text"] is not None:
            self.call("POST", f"/v1/messages/{message}/acknowledge", why)
        return dict(self.call("POST", f"/v1/messages/{message}/open", {"justification": JUSTIFICATION})["content"])

    def seal(self, identity: dict[str, Any], content: dict[str, Any], to: list[str]) -> dict[str, Any]:
        """Seal a person's identity into a content for the protection roles of others; the sealed part."""
        told = {"identity": identity, "content": content, "to": to, "justification": JUSTIFICATION}
        return dict(self.call("POST", "/v1/identities/seal", told)["part"])

    def identity(self, message: str) -> dict[str, Any]:
        """Have a message's sealed identity shown, giving the passphrase once more."""
        (part,) = self.call("GET", f"/v1/messages/{message}/identities", headers=_REASON)["identities"]
        told = {"passphrase": self._passphrase.read_text(encoding="utf-8").strip(), "justification": JUSTIFICATION}
        return dict(self.call("POST", f"/v1/messages/{message}/identities/{part['id']}", told)["identity"])

    def forward(self, message: str, to: list[str], fields: list[str], purpose: str, text: str) -> dict[str, Any]:
        """Pass fields of a message on."""
        told = {"to": to, "fields": fields, "purpose": purpose, "text": text, "justification": JUSTIFICATION}
        return self.call("POST", f"/v1/messages/{message}/forward", told)

    def act(self, path: str, **members: Any) -> dict[str, Any]:
        """Say something about a message, in the agency's name: ask, decide, recall, answer, refuse, claim."""
        return self.call("POST", path, {**members, "justification": JUSTIFICATION})

    def export(self, message: str) -> dict[str, Any]:
        """Take a message out as evidence."""
        return self.call("POST", f"/v1/messages/{message}/export", {"justification": JUSTIFICATION})

    def case(self, reference: str) -> list[dict[str, Any]]:
        """The messages of one case."""
        return list(self.call("GET", f"/v1/cases/{quote(reference)}", headers=_REASON)["messages"])

    def inbox(self) -> dict[str, dict[str, Any]]:
        """What came in, by digest."""
        return {one["msg"]: one for one in self.call("GET", "/v1/inbox")["messages"]}

    def receipts(self, message: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The receipts for a message of ours, by (agency, status)."""
        return {(r["by"], r["status"]): r for r in self.call("GET", f"/v1/receipts/{message}")["receipts"]}

    # -- waiting for others --

    def await_message(self, message: str) -> dict[str, Any]:
        """Wait until a message is in the inbox."""
        return until(lambda: self.inbox().get(message), f"{self.agency} to receive {message}")

    def await_receipt(self, message: str, by: str, status: str) -> dict[str, Any]:
        """Wait until a receipt is here."""
        return until(lambda: self.receipts(message).get((by, status)), f"{self.agency} to get `{status}` from {by}")

    def close(self) -> None:
        """Leave the desk."""
        self._http.close()


def until(look: Callable[[], T | None], what: str) -> T:
    """Look again and again until something is there; raises ``TimeoutError`` if it never is."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"waited in vain for {what}")
