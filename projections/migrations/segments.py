"""SQL of the segment of an asset's path, and of the assets that have one: all except files at home.

An index and the queries that use it need the same text.
"""

from typing import Final

SEGMENT: Final = (
    "replace(replace(replace(name, '%25', '%2525'), '%2F', '%252F'), '/', '%2F')"
    " || CASE WHEN content_type = 'folder' THEN '/' ELSE '' END"
)
INDEXED: Final = "deleted_at IS NULL AND (parent_id IS NOT NULL OR content_type = 'folder')"
