"""The table of the commands of `asset-ledger`. Only the command that runs is imported."""

from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from asset_ledger.api.cli.output import ReaderGoneError

COMMANDS: Final = {
    "serve": ("serve:serve", "Serve a ledger over HTTP, with its console."),
    "put": ("put:put", "Record files, folders, or standard input."),
    "get": ("get:get", "Write assets to files, or what a job made to a folder."),
    "show": ("asset:show", "Show the fields and the events of an asset."),
    "tag": ("asset:tag", "Add tags to assets, and remove tags from them."),
    "mv": ("asset:mv", "Move assets into a folder."),
    "rm": ("asset:rm", "Delete assets; restore brings them back."),
    "restore": ("asset:restore", "Restore deleted assets, a folder with its contents."),
    "open": ("console:open_", "Open the console, or print its address."),
    "completion": ("completion:completion", "Print the completion script of a shell."),
    "ls": ("assets:ls", "List the assets in a folder."),
    "find": ("assets:find", "Find assets by filters and words."),
    "jobs": ("jobs:jobs", "List jobs, or show one and its attempts."),
    "usage": ("usage:usage", "Count assets, bytes and runs by node, job, day, ..."),
    "replay": ("replay:replay", "List the events of a job in order."),
    "compare": ("compare:compare", "Compare the assets of two jobs."),
    "tail": ("tail:tail", "Print events as they are recorded."),
    "prove": ("prove:prove", "Print proofs of assets, or check printed ones."),
    "head": ("prove:head", "Print the size, root and times of the log."),
    "watch": ("watch:watch", "Record what another program makes."),
    "verify": ("verify:verify", "Check the log, every content and the tables."),
    "audit-bundle": (
        "audit_bundle:audit_bundle",
        "Write a job with its proof, to check offline.",
    ),
    "witness": ("witness:witness", "Check that the log of a server only grew."),
    "backup": ("backup:backup", "Create, list and restore backups."),
    "copy": ("copy:copy", "Copy a whole ledger to a new folder or database."),
    "export": ("export:export", "Export a job for other programs, or the whole ledger."),
    "import": ("imports:import_", "Import from NodeTool, or an exported ledger."),
    "rebuild": ("rebuild:rebuild", "Rebuild the tables from the log."),
    "doctor": ("doctor:doctor", "Check the settings, the data folder and this machine."),
    "scrub": ("scrub:scrub", "Read all contents and the log again, to find damage."),
    "gc": ("gc:gc", "Remove contents that nothing retains."),
    "hook": ("hook:hook", "Add, list and remove webhooks."),
    "key": ("key:key", "List and rotate the keys that sign checkpoints."),
    "mcp": ("mcp:mcp", "Serve tools that only read to an agent, over MCP."),
    "s3-key": ("s3_key:s3_key", "Make keys for S3 clients."),
    "token": ("token:token", "Make, list and revoke tokens."),
}
"""The module and function, and the summary, of each command."""


class Commands(click.Group):
    """The group of the commands in `COMMANDS`. Its help and completion import none of them."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command. Raises ReaderGoneError."""
        try:
            return super().invoke(context)
        except BrokenPipeError as error:  # click would exit with 1, which reports a finding
            raise ReaderGoneError from error

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        found = import_module(f"asset_ledger.api.cli.{module}")
        command: click.Command = getattr(found, attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in sorted(COMMANDS) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, context, incomplete)
        return [CompletionItem(name, help=COMMANDS[name][1]) for name in names] + options
