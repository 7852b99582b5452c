"""`asset-ledger completion`: print the completion script of a shell."""

import click
from click.shell_completion import get_completion_class

_VARIABLE = "_ASSET_LEDGER_COMPLETE"
"""The variable in which the script sends the words of a command line: click's name for it."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(asset-ledger completion bash)"  in ~/.bashrc
    zsh:   eval "$(asset-ledger completion zsh)"   in ~/.zshrc
    fish:  asset-ledger completion fish > ~/.config/fish/completions/asset-ledger.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "asset-ledger", _VARIABLE).source())
