"""What every entry point shares: flags, config files, and errors without tracebacks."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Sequence

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from ppt_jax.errors import UserError, printable

CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "A recipe, e.g. configs/quickstart.py. Any field can be overridden: --config.train.steps=200.",
)
WORKDIR = flags.DEFINE_string(
    "workdir", None, "Folder that holds everything this run reads and writes, e.g. runs/mine."
)


def _parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses flags; a misspelt config field ends in one line, not in a traceback."""
    try:
        return list(flags.FLAGS(list(arguments)))
    except flags.Error as error:
        message = str(error)
    except (AttributeError, KeyError) as error:
        message = "config: no field " + str(error.args[0]).replace("\\'", "'").replace("\n", "; ")
    except FileNotFoundError as error:
        message = f"--config={error.filename}: no such file"
    except UserError as error:  # a recipe that refuses its argument, the part behind the colon
        message = f"--config: {error}"
    print(f"error: {message}\nTry --help.", file=sys.stderr)
    sys.exit(2)


def run(main: Callable[[ml_collections.ConfigDict, str], None]) -> None:
    """Runs ``main(config, workdir)`` of an entry point under absl.

    A `UserError` prints its message alone and exits with status 2; Ctrl-C says that the same
    command resumes and exits with status 130; anything else is a defect of ours and keeps its
    traceback.

    Args:
      main: the entry point; gets the resolved config and the work folder.
    """

    _run(lambda: _with_config(main))


def _with_config(main: Callable[[ml_collections.ConfigDict, str], None]) -> None:
    if WORKDIR.value is None:
        raise UserError("--workdir=DIR is missing: the folder for this run's files")
    main(_load_config(), WORKDIR.value)


def _without_config(main: Callable[[], None]) -> None:
    for name in ("config", "workdir"):
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} is not used by this command; see --help")
    main()


def run_config(main: Callable[[ml_collections.ConfigDict], None]) -> None:
    """Runs ``main(config)`` of an entry point that needs no work folder; see `run`."""

    def with_config() -> None:
        if WORKDIR.value is not None:
            raise UserError("--workdir is not used by this command; see --help")
        main(_load_config())

    _run(with_config)


def run_with_workdir(main: Callable[[str], None]) -> None:
    """Runs ``main(workdir)`` of an entry point that needs a work folder and no config."""

    def with_workdir() -> None:
        if flags.FLAGS["config"].present:
            raise UserError("--config is not used by this command; see --help")
        if WORKDIR.value is None:
            raise UserError("--workdir=DIR is missing: the folder of the run to read")
        main(WORKDIR.value)

    _run(with_workdir)


def run_alone(main: Callable[[], None]) -> None:
    """Runs ``main()`` of an entry point that needs neither config nor work folder; see `run`."""
    _run(lambda: _without_config(main))


def run_either(
    main: Callable[[ml_collections.ConfigDict, str], None], alone: Callable[[], None], flag: str
) -> None:
    """Runs ``alone()`` when a flag is given, else ``main(config, workdir)``; see `run`."""
    _run(lambda: _without_config(alone) if flags.FLAGS[flag].present else _with_config(main))


def run_with_paths(main: Callable[[Sequence[str]], None], *, least: int = 1) -> None:
    """Runs ``main(paths)`` of an entry point whose arguments are paths; see `run`."""

    def with_paths(paths: Sequence[str]) -> None:
        if len(paths) < least:
            raise UserError(f"{least} or more paths are needed, got {len(paths)}; see --help")
        _without_config(lambda: main(paths))

    _run(with_paths)


def _run(main: Callable[..., None]) -> None:
    with_paths = len(inspect.signature(main).parameters) > 0

    def guarded(arguments: Sequence[str]) -> None:
        try:
            if with_paths:
                main(arguments[1:])
                return
            if len(arguments) > 1:
                raise UserError(
                    f"unexpected argument {arguments[1]!r}; flags are written --name=value"
                )
            main()
        except UserError as error:
            lines = str(error).split("\n")
            print("error: " + "\n".join(map(printable, lines)), file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt:
            print("\ninterrupted; start the same command again to go on", file=sys.stderr)
            sys.exit(130)

    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # it reports that torch is missing
    logging.set_verbosity(logging.WARNING)  # libraries say where they read; the bars say enough
    app.run(guarded, flags_parser=_parse_flags)


def _load_config() -> ml_collections.ConfigDict:
    if not flags.FLAGS["config"].present:
        raise UserError("--config=FILE is missing, e.g. --config=configs/quickstart.py")
    config = CONFIG.value
    if not isinstance(config, ml_collections.ConfigDict):
        # ml_collections hands back an error object that raises whatever went wrong when it is used.
        try:
            config.seed  # noqa: B018
        except FileNotFoundError as error:
            raise UserError(f"--config: no such file ({error.filename})") from error
        except Exception as error:
            raise UserError(f"--config: the file cannot be loaded ({error})") from error
        raise UserError("--config: get_config() must return an ml_collections.ConfigDict")
    return config


def nearest(name: str, known: Sequence[str]) -> str:
    """A did-you-mean clause for an unknown name, or the known names when nothing is near.

    Example:
      >>> nearest("stepz", ["steps", "seed"])
      "did you mean 'steps'?"
    """
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
