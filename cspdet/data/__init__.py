"""Annotated pictures: `.data` files, lists of images, and labels."""
