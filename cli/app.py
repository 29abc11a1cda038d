"""The application: one module per verb, errors as one line, exit codes.

A verb is a module of this package with a function of the same name, listed in :data:`VERBS`. The
modules import the engine only inside that function, so that ``--help`` is immediate.
"""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from uih_lake.cli.process import Unheard, Untold, prepare_streams, silence
from uih_lake.cli.signals import heeded, prepared_signals
from uih_lake.cli.terminal import Terminal
from uih_lake.errors import UihError

VERBS = {
    "The lake": ("create", "append", "seal", "compact", "info"),
    "Training data": ("log", "label", "materialize"),
    "Keeping it": ("verify", "vacuum", "forget", "retain", "publish"),
    "Looking into it": ("sql", "savings", "demo"),
}
"""Panel of the help -> its verbs, in order."""

UNTOLD = 3
"""Exit code where stdout cannot be written; the work is done, and not to be repeated."""
BROKEN_PIPE = 128 + 13
"""Exit code where the reader of a pipe has gone, as of any program that dies of SIGPIPE."""
INTERRUPTED = 128 + 2

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no messages, only data.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Draw no progress bars.")]


class Verbs(TyperGroup):
    """The group of all verbs; turns what goes wrong in one into a line and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the verb asked for."""
        try:
            with heeded():
                result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be dealt with
            return result
        except UihError as error:
            _fail(str(error))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (Unheard, BrokenPipeError):
            silence(sys.stdout)
            raise typer.Exit(BROKEN_PIPE) from None
        except UnicodeDecodeError as error:
            _fail(f"the input is not UTF-8 (byte {error.start})")
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            _fail(f"{where}{error.strerror or error}")


def _fail(message: str) -> None:
    print("error:", " ".join(message.splitlines()), file=sys.stderr)
    raise typer.Exit(1) from None


app = typer.Typer(
    name="uihlake",
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="""
Exit codes: 0 success, 1 a refused input or a failed check, 2 wrong usage,
3 done, but stdout could not be written.
Data goes to stdout, messages and progress to stderr. NO_COLOR is respected.""",
)


def _version(asked: bool) -> None:
    if asked:
        from uih_lake import __version__

        print("uihlake", __version__)
        raise typer.Exit


@app.callback()
def uihlake(
    context: typer.Context,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Keep user interaction histories once; rebuild them for training just in time.

    Start with [bold]uihlake demo[/bold], or with a lake of your own:

      uihlake create shop
      uihlake append shop 'events/*.parquet' --user-id member --event-ts at
      uihlake log shop requests.csv --user-id member --request-ts at
      uihlake materialize shop --tenant ranker.toml --out training
    """
    context.obj = Terminal(quiet=quiet, bars=not no_progress)


class _Messages(logging.Handler):
    """What the library logs, as messages of this run."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.say(f"{record.levelname.lower()}: {record.getMessage()}")


@contextmanager
def _logging(terminal: Terminal) -> Iterator[None]:
    """Pass on the library's log to ``terminal`` while the block runs."""
    log, messages = logging.getLogger("uih_lake"), _Messages(terminal)
    log.addHandler(messages)
    try:
        yield
    finally:
        log.removeHandler(messages)


def _register(verb: Callable[..., None], panel: str) -> None:
    """Make a command of ``verb``, which is given a :class:`Terminal` before its own parameters.

    The options behind it, ``--quiet`` and ``--no-progress``, are taken before and after the verb.
    """
    signature = inspect.signature(verb, eval_str=True)
    _, *own = signature.parameters.values()

    @wraps(verb)
    def command(context: typer.Context, quiet: bool, no_progress: bool, **given: Any) -> None:
        before: Terminal = context.obj
        terminal = Terminal(before.quiet or quiet, before.bars and not no_progress)
        with _logging(terminal):
            verb(terminal, **given)

    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
        inspect.Parameter("no_progress", keyword, default=False, annotation=NoProgress),
    ]
    parameters = [*(p.replace(kind=keyword) for p in own), *shared]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    app.command(verb.__name__, help=_flowing(verb.__doc__), rich_help_panel=panel)(command)


def _flowing(text: str | None) -> str:
    """A docstring whose paragraphs are one line each, but for the indented ones, the examples."""
    paragraphs = inspect.cleandoc(text or "").split("\n\n")
    return "\n\n".join(p if p.startswith(" ") else " ".join(p.split()) for p in paragraphs)


for _panel, _verbs in VERBS.items():
    for _verb in _verbs:
        _register(getattr(import_module(f"uih_lake.cli.{_verb}"), _verb), _panel)


def main() -> None:
    """Entry point of the script ``uihlake``."""
    prepare_streams()
    with prepared_signals():
        _run()


def _run() -> None:
    try:
        try:
            app(prog_name="uihlake")
        except SystemExit as ended:
            if not ended.code:
                sys.stdout.flush()  # of a help, which is no verb
            raise
    except Untold as error:
        silence(sys.stdout)
        print(f"error: the report could not be written to stdout: {error}", file=sys.stderr)
        raise SystemExit(UNTOLD) from None
    except Unheard:
        silence(sys.stdout)
        raise SystemExit(BROKEN_PIPE) from None
