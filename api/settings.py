"""Every setting of the service, read once: flags win over `ASSET_LEDGER_*`, that over defaults."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asset_ledger.api.contract.origins import read_origins
from asset_ledger.api.contract.rates import read_rate

Auth = Literal["local", "tokens", "jwt"]
CommitterKind = Literal["process", "thread"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """The field names are the flags (`--data-dir`) and, in capitals, the environment's names."""

    model_config = SettingsConfigDict(
        env_prefix="ASSET_LEDGER_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(7777, ge=0, le=65535, description="the port to listen on; 0 takes a free one")
    data_dir: Path = Field(Path("data"), description="the folder of events, contents and tables")
    auth: Auth = Field("local", description="who may call: anybody here, tokens, or signed tokens")
    jwt_key: SecretStr | None = Field(
        None, description="what verifies a signed token: a secret (HS256), or a public key in PEM"
    )
    jwt_jwks: Path | None = Field(None, description="a file of public keys (a JWK set)")
    jwt_audience: str | None = Field(None, description="whom a signed token has to be meant for")
    rate_limit: str = Field("off", description="how often each user may ask: `100/s`, `/m`, `/h`")
    cors_origins: str = Field(
        "off", description="which pages of other origins may call: origins with commas, or `*`"
    )
    max_upload_bytes: int = Field(0, ge=0, description="the largest upload; 0 sets no limit")
    queue_size: int = Field(1024, ge=1, description="how many writes may wait before 503")
    committer: CommitterKind = Field(
        "process", description="where commits run: a worker process, or a thread of the server"
    )
    lenient_queries: bool = Field(False, description="ignore unknown query parameters")
    log_level: LogLevel = Field("info", description="how much is logged, on standard error")
    log_format: LogFormat = Field("text", description="lines to read, or one JSON object a line")
    log_requests: bool = Field(False, description="log each request, too")

    @field_validator("rate_limit")
    @classmethod
    def _spelled_rate(cls, rate: str) -> str:
        read_rate(rate)
        return rate

    @field_validator("cors_origins")
    @classmethod
    def _spelled_origins(cls, origins: str) -> str:
        read_origins(origins)
        return origins

    @model_validator(mode="after")
    def _not_every_page(self) -> Self:
        """Nobody is asked who he is: so not every page that is open in a browser here may call."""
        if self.auth == "local" and read_origins(self.cors_origins).any:
            raise ValueError("--cors-origins: without authentication (--auth), name the origins")
        return self

    @model_validator(mode="after")
    def _only_loopback(self) -> Self:
        """Nobody is asked who he is: so nobody from outside may ask."""
        if self.auth == "local" and not _is_loopback(self.host):
            raise ValueError("--host: without authentication (--auth) it has to be loopback")
        return self

    @model_validator(mode="after")
    def _something_to_verify_with(self) -> Self:
        if self.auth == "jwt" and not (self.jwt_key or self.jwt_jwks):
            raise ValueError("--auth: jwt needs --jwt-key or --jwt-jwks")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
