"""Mutation fuzzing: whatever a file holds, cspdet answers with a result or one of its own errors, soon, and in little memory.

    python -m tests.fuzz --cfgs 100000 --weights 10000 --images 10000 --files 2000 --seed 1 --processes 2
    python -m tests.fuzz --seed 1 --case cfgs:4711

A case is made from the seed, its kind and its number alone, so that any one can be made again; the second call does that,
prints what went wrong, and takes lines away from a cfg as long as the same goes wrong. The exit code is 1 if anything did.

Of a cfg that is small enough the network is run as well: what torch computes must have the shapes that the graph promises.
"""
