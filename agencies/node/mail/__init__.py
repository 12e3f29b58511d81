"""What crosses the agency's border: drafts and outbox, mailbox and receipts."""
