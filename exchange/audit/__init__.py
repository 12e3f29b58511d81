"""Reading a log that others kept: verify it, judge it again, ask it questions. Pure; nobody's word is taken."""
