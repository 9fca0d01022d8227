"""Runs on a command line, and how its programs end."""

import argparse
import dataclasses
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import tyro

from diffjax.config.files import load
from diffjax.config.run import Run

Fields = Annotated[Run, tyro.conf.arg(name="", prefix_name=False)]
"""A run on a command line: every field by its own name."""


@dataclasses.dataclass(frozen=True)
class _Command:
    config: pathlib.Path
    """A file of configs/; every field below overrides it."""
    workdir: pathlib.Path | None
    """Where the run writes (default: runs/NAME)."""
    run: Fields


def config_of(argv: Sequence[str]) -> pathlib.Path:
    """The file named by `--config`; configs/demo.py where none is."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--config", default="configs/demo.py")
    return pathlib.Path(first.parse_known_args(argv)[0].config)


def parse(argv: Sequence[str] | None = None, description: str = "") -> tuple[Run, pathlib.Path]:
    """(run, workdir) from `--config FILE --workdir DIR` and any field by name, as `--train.steps 10`.

    Wrong usage prints what was meant and exits with code 2, as argparse does.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    path = config_of(argv)
    default = _Command(path, None, load(path))
    command = tyro.cli(_Command, default=default, args=argv, description=description)
    return command.run, command.workdir or pathlib.Path("runs") / command.run.name


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
    logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every open directory.
    try:
        main()
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr, flush=True)
        sys.stdout.flush()
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
