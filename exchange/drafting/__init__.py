"""Thinking about agreements before anybody signs them: check, explain, compare, try out. Pure, and decides nothing."""
