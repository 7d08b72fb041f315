"""Programs as other programs' files hold them."""
