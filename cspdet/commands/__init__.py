"""The commands, one file each: what it reads from the command line, and what it prints."""
