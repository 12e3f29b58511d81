"""The pairs of facts that must agree among three books, a module for each kind (LOG-103)."""
