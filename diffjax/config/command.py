"""Runs on a command line, and how its programs end."""

import argparse
import dataclasses
import inspect
import logging
import os
import pathlib
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import tyro

from diffjax.config.files import load
from diffjax.config.run import Run

_BY_NAME = tyro.conf.arg(name="", prefix_name=False)
Fields = Annotated[Run, _BY_NAME]
"""A run on a command line: every field by its own name."""
_OR_NONE = (tyro.conf.DisallowNone, tyro.conf.arg(help_behavior_hint=""))
_LEFT_OUT = (
    "These options matter first. --help-all lists all of them: every field of a config is one ("
    + ", ".join(f"{f.name}.*" for f in dataclasses.fields(Run) if dataclasses.is_dataclass(f.type))
    + ")."
)


def config_of(argv: Sequence[str]) -> pathlib.Path:
    """The file named by `--config`; configs/demo.py where none is."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", default="configs/demo.py")
    return pathlib.Path(first.parse_known_args(argv)[0].config)


def call(
    command: Callable[..., Any], argv: Sequence[str], description: str, first: Sequence[str] = ()
) -> Any:
    """What the command makes of argv; `--help` lists its own options, `--help-all` the run's fields too.

    Wrong usage prints what was meant and exits with code 2, as argparse does.

    Args:
      command: with a parameter `run: Fields`, and a docstring with a paragraph or more above its `Args:`.
      first: the fields of its run that the short help lists, as `parts.prior`, or `parts` for all of them.
    """
    command = inspect.unwrap(command)
    text = re.sub(r"\n {8}", " ", inspect.getdoc(command) or "")  # tyro keeps the ends of lines.
    command.__doc__ = text
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.default is None:  # Then its text says what the default is.
            command.__annotations__[name] = Annotated[parameter.annotation, *_OR_NONE]
    said = [description, re.sub(r"(?<!\n)\n(?!\n)", " ", text.partition("Args:")[0].strip())]
    if not {"-h", "--help"}.isdisjoint(argv):
        _leave_out(command, first)
        said.append(_LEFT_OUT)
    argv = ["--help" if word == "--help-all" else word for word in argv]
    try:
        return tyro.cli(command, args=argv, description="\n\n".join(said))
    except SystemExit as stop:
        if stop.code == 2:
            print("--help-all lists every option.", file=sys.stderr)
        raise


def _leave_out(command: Callable[..., Any], but: Sequence[str]) -> None:
    """Takes the fields of the command's last parameter, its run, out of its help, but those."""
    defaults = list(command.__defaults__ or ())
    shown = _showing(defaults.pop(), but)
    command.__defaults__ = (*defaults, shown)
    command.__annotations__["run"] = Annotated[type(shown), _BY_NAME]


def _showing(record: Any, names: Sequence[str]) -> Any:
    """The record, of a class that hides all fields from a help but those, by their dotted names."""
    kind, values, hidden = type(record), dict(vars(record)), []
    for field in dataclasses.fields(record):
        inner = [name.partition(".")[2] for name in names if name.startswith(f"{field.name}.")]
        if inner:
            values[field.name] = _showing(values[field.name], inner)
            hidden.append((field.name, type(values[field.name]), None))
        elif field.name not in names:
            hidden.append((field.name, tyro.conf.Suppress[field.type], None))
    made = dataclasses.make_dataclass(
        kind.__name__, hidden, bases=(kind,), namespace={"__doc__": kind.__doc__},
        frozen=True, kw_only=True,
    )  # fmt: skip
    return made(**values)


def parse(
    argv: Sequence[str] | None = None, description: str = "", first: Sequence[str] = ()
) -> tuple[Run, pathlib.Path]:
    """(run, workdir) from `--config FILE --workdir DIR` and any field by name, as `--train.steps 10`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    path = config_of(argv)

    def command(
        workdir: pathlib.Path | None = None,
        config_file: Annotated[pathlib.Path, tyro.conf.arg(name="config")] = path,
        run: Fields = load(path),  # noqa: B008
    ) -> tuple[Run, pathlib.Path]:
        """Any field of the config can be given by its name, as --train.steps 500.

        Args:
            workdir: Where the run writes (default: runs/NAME).
            config_file: A file of configs/; every field below overrides it.
            run: Every field by its own name.
        """
        return run, workdir or pathlib.Path("runs") / run.name

    return call(command, argv, description, first)


def keep_compiled() -> None:
    """Compiled code is kept between runs: in JAX_COMPILATION_CACHE_DIR, or ~/.cache/diffjax.

    An empty JAX_COMPILATION_CACHE_DIR keeps nothing.
    """
    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "diffjax"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def run_main(main: Callable[[], None]) -> None:
    """Calls main; bad input becomes one line on stderr and exit code 2, Ctrl-C exit code 130.

    DIFFJAX_TRACEBACK=1 in the environment shows where an error came from.
    """
    keep_compiled()
    sys.unraisablehook = _unraisable
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every open directory.
    try:
        try:
            main()
        except SystemExit:
            _flush()
            raise
        _flush()  # Here, so that a reader who has left is met below.
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr, flush=True)
        _flush()
        # Not sys.exit: threads that are still compiling would crash while Python is taken down.
        os._exit(130)
    except BrokenPipeError:  # Whoever reads our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError) as error:
        if os.environ.get("DIFFJAX_TRACEBACK"):
            raise
        print(f"{pathlib.Path(sys.argv[0]).name}: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _flush() -> None:
    if sys.stdout is not None:  # None where whoever started us closed it.
        sys.stdout.flush()


def _unraisable(lost: Any) -> None:
    """Ctrl-C that met a callback which cannot raise (JAX's while garbage is collected) comes again, outside of it."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        return sys.__unraisablehook__(lost)
    main = threading.main_thread().ident or 0
    threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT)).start()
