"""`dfrecord completion`: what makes a shell complete commands, options and formats."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = {
    "bash": 'eval "$(dfrecord completion bash)"  in ~/.bashrc',
    "zsh": 'eval "$(dfrecord completion zsh)"  in ~/.zshrc',
    "fish": "dfrecord completion fish >~/.config/fish/completions/dfrecord.fish",
}


@click.command("completion", epilog="  \b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the program that makes SHELL complete what follows dfrecord: bash 4.4 or later, zsh or fish."""
    found = get_completion_class(shell)
    assert found is not None, shell
    root = context.find_root()
    click.echo(found(root.command, {}, "dfrecord", "_DFRECORD_COMPLETE").source())
