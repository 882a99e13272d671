"""The command line: the program, its verbs in the order of its help, and what it exits with."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from urbanln.base.errors import StorageError, UrbanLNError, explain_missing
from urbanln.base.saying import answer, say
from urbanln.base.version import __version__
from urbanln.cli import (
    city_verbs,
    cityrep_verb,
    doctor_verb,
    explore_verb,
    gather_verb,
    model_verbs,
    retrieve_verb,
    vector_verbs,
)

app = typer.Typer(
    name="urbanln",
    help="Region vectors from city pictures and long captions, scored beside the floors they must beat.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text: the frames of rich take as long to import as all else of a help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        answer(f"urbanln {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """Options of the program itself."""


for _verb in (
    vector_verbs.demo, city_verbs.synthetic, city_verbs.ingest, gather_verb.gather, city_verbs.caption,
    city_verbs.audit,
    vector_verbs.pretrain, retrieve_verb.retrieve, vector_verbs.embed, vector_verbs.probe,
    vector_verbs.report, explore_verb.explore, vector_verbs.study, cityrep_verb.cityrep,
    model_verbs.import_model, model_verbs.export_model, doctor_verb.doctor,
):  # fmt: skip
    # The whole sentence: what is left to click is cut after 45 letters.
    app.command(short_help=(_verb.__doc__ or "").splitlines()[0])(_verb)


def run(arguments: list[str] | None) -> None:
    """Run a verb; exit codes: 0 done, 1 failed, 2 wrong usage or bad input."""
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # what libraries warn of helps no user; what matters is said by ourselves
                warnings.simplefilter("ignore")
            app(args=arguments, prog_name="urbanln")
    except UrbanLNError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        explained = explain_missing(error)
        if explained is None:
            raise
        _fail(explained)
    except OSError as error:
        if error.errno is None:
            raise  # not from the operating system
        _fail(
            StorageError(
                f"a file could not be used: {error.strerror}",
                where=error.filename,
                remedy="check that it is there, that you may use it and that the disk is not full",
            )
        )


def _fail(error: UrbanLNError) -> None:
    say(*f"error: {error}".split("\n"))
    sys.exit(error.exit_code)
