"""How fast engines and peers run a network, measured in turn, each in a process of its own."""
