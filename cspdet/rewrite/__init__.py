"""Changes cfg text and keeps what it does not change: layout, cures, layers put in, taken out, moved and renamed."""
