"""python -m minift: pretrain, fine-tune, generate and evaluate from the command line."""

import argparse
import os
import sys
from importlib import import_module

COMMANDS = ("pretrain", "finetune", "generate", "evaluate")


class Help(argparse.ArgumentDefaultsHelpFormatter):
    """Show a default behind an option's help, unless there is none to show."""

    def _get_help_string(self, action):
        if action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)


def parser():
    """The parser of all commands; each command's file adds its own options."""
    top = argparse.ArgumentParser(
        prog="python -m minift", description=__doc__.split(": ", 1)[1].capitalize()
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = import_module(f"minift.commands.{name}")
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=Help,
            epilog=f"example: {module.EXAMPLE}",
        )
        module.arguments(command)
    return top


def main(words=None):
    """Run one command; a mistake of the user's is one line on standard error and exit code 2."""
    options = parser().parse_args(words)
    if int(os.environ.get("RANK", 0)):
        sys.stdout = open(os.devnull, "w")  # under torchrun the first process speaks for all
    try:
        import_module(f"minift.commands.{options.command}").run(options)
    except (ValueError, OSError) as error:
        print(f"minift {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        resumes = hasattr(options, "resume")
        word = "; --resume goes on from the last checkpoint, if one was saved" if resumes else ""
        print(f"\nminift {options.command}: stopped{word}")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
