"""Pictures of networks: layers as boxes in columns of one resolution, what reads what as lines."""
