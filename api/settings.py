"""Every setting of the service, read once: flags win over `ASSET_LEDGER_*`, that over defaults."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """The field names are the flags (`--data-dir`) and, in capitals, the environment's names."""

    model_config = SettingsConfigDict(
        env_prefix="ASSET_LEDGER_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="the loopback address to listen on")
    port: int = Field(7777, ge=0, le=65535, description="the port to listen on; 0 takes a free one")
    data_dir: Path = Field(Path("data"), description="the folder of facts, contents and tables")
    max_upload_bytes: int = Field(0, ge=0, description="the largest upload; 0 sets no limit")
    queue_size: int = Field(1024, ge=1, description="how many writes may wait before 503")
    lenient_queries: bool = Field(False, description="ignore unknown query parameters")
    log_level: LogLevel = Field("info", description="how much is logged, on standard error")

    @field_validator("host")
    @classmethod
    def _only_loopback(cls, host: str) -> str:
        """Nobody is asked who he is: so nobody from outside may ask."""
        if host != "localhost" and not _is_loopback(host):
            raise ValueError("without authentication the service listens on loopback only")
        return host


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
