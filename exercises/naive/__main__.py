"""Serve the naive broker: ``python -m exercises.naive DATABASE TRUST FED AGREEMENT PORT``."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from exchange.protocol.policy import PolicyBook
from exercises.naive.app import create_app
from keys.trust import Directory


def main(database: str, trust: str, fed: str, agreement: str, port: str) -> None:
    """Serve until told to stop."""
    now = datetime.now(UTC)
    directory = Directory.from_bytes(Path(trust).read_bytes(), fed=fed, now=now)
    book = PolicyBook().with_agreement(Path(agreement).read_bytes(), directory, now)
    app = create_app(Path(database), directory, book)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
