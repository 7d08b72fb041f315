"""What two networks have in common, and in what they differ."""
