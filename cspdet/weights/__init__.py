"""Understands weights files: `.weights` and `.safetensors`, and why one does not fit. Needs no torch."""
