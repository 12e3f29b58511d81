"""What is done about a message after it was disclosed: acts, consents, recalls, and who holds it."""
