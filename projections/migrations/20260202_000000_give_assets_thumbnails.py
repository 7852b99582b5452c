"""An image or a video says where its thumbnail is."""

import sqlite3

needs_facts = True


def upgrade(_: sqlite3.Connection) -> None:
    """No column is new: the JSON of every row is, and the facts make it."""
