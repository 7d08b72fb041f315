"""Networks made deeper or wider, as text."""
