"""The settings of the service: from flags, else `ASSET_LEDGER_*` variables, else defaults."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from asset_ledger.api.contract.durations import read_duration, read_versions
from asset_ledger.api.contract.origins import read_origins
from asset_ledger.api.contract.rates import read_rate
from asset_ledger.ledger.storage.database_address import DATABASES

Auth = Literal["local", "tokens", "jwt"]
CommitterKind = Literal["process", "thread"]
HookAddresses = Literal["public", "any"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(BaseSettings):
    """All settings. `port` is the flag `--port` and the variable `ASSET_LEDGER_PORT`."""

    model_config = SettingsConfigDict(
        env_prefix="ASSET_LEDGER_", frozen=True, extra="forbid", env_ignore_empty=True
    )

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(7777, ge=0, le=65535, description="the port to listen on; 0 takes a free one")
    s3_port: int | None = Field(
        None, ge=0, le=65535, description="the port for S3 clients; none without it"
    )
    s3_host: str | None = Field(
        None,
        pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$",
        description="the host name below which S3 buckets are: `<bucket>.<this>`",
    )
    data_dir: Path = Field(Path("data"), description="the folder of events, contents and tables")
    database_url: SecretStr | None = Field(
        None, description="the PostgreSQL database of events and tables; else `data_dir` has them"
    )
    content_url: str | None = Field(
        None,
        description="where large contents go: s3://, gs://, az://, or a folder; else `data_dir`",
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="how many processes serve; several need a database",
    )
    auth: Auth = Field("local", description="authentication: none (`local`), `tokens`, or `jwt`")
    jwt_key: SecretStr | None = Field(
        None, description="the key that verifies JWTs: a secret (HS256), or a public key in PEM"
    )
    jwt_jwks: str | None = Field(
        None, description="keys that verify JWTs: a JWK set file, or its https address"
    )
    jwt_issuer: str | None = Field(
        None, description="required issuer (`iss`) of a JWT; an OpenID issuer's keys are fetched"
    )
    jwt_audience: str | None = Field(None, description="required audience (`aud`) of a JWT")
    rate_limit: str = Field("off", description="requests of each user: `100/s`, `/m`, `/h`")
    cors_origins: str = Field(
        "off", description="origins whose web pages may call: separated by commas, or `*`"
    )
    max_upload_bytes: int = Field(0, ge=0, description="the largest upload; 0 sets no limit")
    upload_lifetime: str = Field(
        "7d", description="how long an unfinished upload is kept after its last byte"
    )
    queue_size: int = Field(1024, ge=1, description="how many writes may wait; more get 503")
    queue_wait: float = Field(
        5.0, gt=0, le=3600, description="seconds that a write should wait at most; more get 503"
    )
    read_deadline: float = Field(
        10.0, gt=0, le=3600, description="seconds that one read of the tables may take"
    )
    max_connections: int = Field(
        1000, ge=1, description="how many connections may be open; fewer if descriptors are scarce"
    )
    idle_timeout: int = Field(
        75, ge=1, description="seconds after which a connection without a request is closed"
    )
    stall_timeout: int = Field(
        30, ge=1, description="seconds that a client may fall behind `min_rate`"
    )
    stop_delay: float = Field(
        0.0, ge=0, le=3600, description="seconds that a stopping server still takes connections"
    )
    min_rate: int = Field(
        1024, ge=1, description="bytes a second that a client has to send or to read"
    )
    body_memory: int = Field(
        64 * 2**20, ge=2**20, description="bytes of JSON bodies that arrive at the same time"
    )
    unread_memory: int = Field(
        64 * 2**20, ge=2**20, description="bytes of answers that clients have not read yet"
    )
    retain_versions: str = Field(
        "all", description="earlier versions to retain: `all`, a number, or a time such as `90d`"
    )
    retain_deleted: str = Field(
        "30d", description="how long a deleted asset can be restored; `0`: never"
    )
    gc_interval: str = Field("off", description="time between two collections: `1d`, or `off`")
    scrub_interval: str = Field(
        "30d", description="time in which every stored byte is read again: `30d`, or `off`"
    )
    hook_addresses: HookAddresses = Field(
        "public", description="where webhooks may lead: `public` (https, the internet), or `any`"
    )
    lineage_url: str | None = Field(
        None, description="where to send the OpenLineage events of each job that ends"
    )
    lineage_token: SecretStr | None = Field(None, description="the bearer token for `lineage_url`")
    committer: CommitterKind = Field(
        "process", description="where commits run: a worker process, or a thread of the server"
    )
    committer_silence: float = Field(
        30.0, ge=5, le=3600, description="seconds after which a silent committer is replaced"
    )
    job_silence: int = Field(
        86_400, ge=1, le=10**9, description="seconds without an event that make a job `stale`"
    )
    lenient_queries: bool = Field(False, description="ignore unknown query parameters")
    log_level: LogLevel = Field("info", description="the lowest level that is logged")
    log_format: LogFormat = Field("text", description="log lines as text, or one JSON object each")
    log_requests: bool = Field(False, description="log each request")

    @property
    def database(self) -> str | None:
        """The address of the database with its password; None without a database."""
        return self.database_url.get_secret_value() if self.database_url else None

    @property
    def writes_per_user(self) -> int:
        """The slots of the write queue that one user may hold: half, if there can be others."""
        return self.queue_size if self.auth == "local" else max(1, self.queue_size // 2)

    @field_validator("database_url")
    @classmethod
    def _spelled_database(cls, address: SecretStr | None) -> SecretStr | None:
        if address is not None and not address.get_secret_value().startswith(DATABASES):
            raise ValueError("must be an address such as postgresql://user@host/database")
        return address

    @field_validator("jwt_jwks", mode="before")
    @classmethod
    def _text_of_path(cls, named: object) -> object:
        return str(named) if isinstance(named, Path) else named

    @field_validator("jwt_jwks")
    @classmethod
    def _file_or_https(cls, named: str | None) -> str | None:
        if named is not None and "://" in named and not is_address(named):
            raise ValueError("must be a file, or an address that begins with https://")
        return named

    @field_validator("lineage_url")
    @classmethod
    def _spelled_address(cls, address: str | None) -> str | None:
        if address is not None and not is_http(address):
            raise ValueError("must be an address such as https://example.com/api/v1/lineage")
        return address

    @field_validator("rate_limit")
    @classmethod
    def _spelled_rate(cls, rate: str) -> str:
        read_rate(rate)
        return rate

    @field_validator("retain_versions")
    @classmethod
    def _spelled_versions(cls, versions: str) -> str:
        read_versions(versions)
        return versions

    @field_validator("retain_deleted", "gc_interval", "scrub_interval", "upload_lifetime")
    @classmethod
    def _spelled_duration(cls, duration: str, info: ValidationInfo) -> str:
        if duration == "off" and info.field_name in ("gc_interval", "scrub_interval"):
            return duration
        if not read_duration(duration) and info.field_name != "retain_deleted":
            raise ValueError("must be a duration such as 1d, and not 0")
        return duration

    @field_validator("cors_origins")
    @classmethod
    def _spelled_origins(cls, origins: str) -> str:
        read_origins(origins)
        return origins

    @model_validator(mode="after")
    def _not_every_page(self) -> Self:
        """Without authentication, `*` would let every page in a browser of this machine call."""
        if self.auth == "local" and read_origins(self.cors_origins).any:
            raise ValueError("--cors-origins: `*` needs --auth: set it, or name the origins")
        return self

    @model_validator(mode="after")
    def _only_loopback(self) -> Self:
        """Without authentication, other machines must not reach the server."""
        if self.auth == "local" and not _is_loopback(self.host):
            raise ValueError("--host: without authentication it has to be loopback: set --auth")
        return self

    @model_validator(mode="after")
    def _shared_by_processes(self) -> Self:
        """Several processes have one ledger: none of it may be in a folder of one of them."""
        if self.processes > 1 and self.database_url is None:
            raise ValueError("--processes: several need --database-url: a data folder has one")
        if self.processes > 1 and self.content_url is None:
            raise ValueError(
                "--processes: several need --content-url, so that each can read the contents of"
                " the others: on one machine, the path of a folder"
            )
        return self

    @model_validator(mode="after")
    def _keys_for_s3(self) -> Self:
        """A key of an S3 client is a token, which AUTH=jwt does not have."""
        if self.auth == "jwt" and self.s3_port is not None:
            raise ValueError("--s3-port: needs --auth local or tokens")
        return self

    @model_validator(mode="after")
    def _something_to_verify_with(self) -> Self:
        if self.auth != "jwt" or self.jwt_key or self.jwt_jwks:
            return self
        if self.jwt_issuer is None:
            raise ValueError("--auth: jwt needs --jwt-key, --jwt-jwks or --jwt-issuer")
        if not is_address(self.jwt_issuer):
            raise ValueError("--jwt-issuer: must begin with https://, or set --jwt-jwks too")
        return self


def is_http(text: str) -> bool:
    """Return whether it is an address of http or https, without a user."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Return whether keys may be fetched there: https, or http on this machine."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and (
        parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host or ""))
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
