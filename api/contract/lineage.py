"""The parameters of a walk over what assets were made from."""

from typing import Final

from asset_ledger.api.contract.parameters import Parameter, one_of, whole

DIRECTION: Final = Parameter(
    "direction",
    "`up`: what it was made from; `down`: what was made from it; or `both`.",
    one_of(("up", "down", "both")),
    default="both",
)
DEPTH: Final = Parameter("depth", "At most so many edges away.", whole(1, 100), default=100)
