"""A network at inference, written in the few operations that every engine and every file format has.

Layers say what they compute in these operations (`Layer.lower`), once for all engines. Whoever adds an engine translates the
operations and knows no layer. Nothing here imports torch.
"""
