"""The detect command."""
