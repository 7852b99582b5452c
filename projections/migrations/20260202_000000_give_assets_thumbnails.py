"""An image or a video says where its thumbnail is."""

import sqlite3

needs_facts = True
fills = ()  # until a rebuild, older rows say that there is no thumbnail, and serve


def upgrade(_: sqlite3.Connection) -> None:
    """No column is new: the JSON of every row is, and the facts make it."""
