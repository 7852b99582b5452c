"""Save the outputs of a node. A failure is raised or reported, never ignored."""

import asyncio
import logging
from collections.abc import Iterable

from asset_ledger.api.sdk.asset import Asset
from asset_ledger.api.sdk.context import ProcessingContext
from asset_ledger.api.sdk.errors import SaveError
from asset_ledger.api.sdk.results import Returned

logger = logging.getLogger(__name__)


async def save(
    found: Iterable[Returned], context: ProcessingContext
) -> tuple[list[Asset], list[SaveError]]:
    """Save outputs. Returns the assets, and the errors of the outputs that could not be saved.

    Raises the first SaveError, unless the context has `on_save_error="report"`.
    """
    assets, errors = [], []
    for each in found:
        try:
            assets.append(await _asset(each, context))
        except SaveError as error:
            if context.on_save_error == "raise":
                raise
            logger.error("not saved: %s", error, exc_info=error)
            errors.append(error)
    return assets, errors


async def _asset(found: Returned, context: ProcessingContext) -> Asset:
    """Return the asset of an output. Raises SaveError for every failure."""
    match found:
        case Asset():
            return found
        case SaveError():
            raise found
    try:
        content = found.content
        if callable(content):
            content = await asyncio.to_thread(content)
        return await context.create_asset(
            name=found.name or "output",
            content_type=found.content_type,
            content=content,
            metadata=found.metadata,
            tags=found.tags,
        )
    except Exception as error:
        raise SaveError(f"{found.name} was not saved: {error}") from error
