"""Understands cfg text: sources and places in them, sections and options, diagnostics. Knows nothing about layers."""
