"""The Boutiques descriptor is the command line, no more and no less."""

from __future__ import annotations

import argparse
import json
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bids_t1 import __version__
from bids_t1.arguments import TellVersion
from bids_t1.cli import build_parser
from bids_t1.data.errors import BidsT1Error, Stopped

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
DESCRIPTOR = ROOT / "boutiques.json"
BOSH = Path(sys.executable).with_name("bosh")
DESCRIBED: dict[str, Any] = json.loads(DESCRIPTOR.read_text(encoding="utf-8"))
INPUTS: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in DESCRIBED["inputs"]}

RENAMED = {"out_dir": "output_dir_name"}
"""Arguments whose input goes by the name that platforms of BIDS-Apps look for."""

EXISTING = {"bids_dir", "bids_filter_file", "bids_database_dir", "protocol", "b1_map", "derivatives", "calibration"}
"""Arguments that name what is there already; the other paths are made."""

needs_bosh = pytest.mark.skipif(not BOSH.exists(), reason="boutiques is not installed here; pip install .[dev]")


def arguments() -> dict[str, argparse.Action]:
    """Return what the command takes, by the id it has in the descriptor."""
    left_out = (argparse._HelpAction, TellVersion)
    actions = (action for action in build_parser()._actions if not isinstance(action, left_out))
    return {RENAMED.get(action.dest, action.dest): action for action in actions}


ARGUMENTS = arguments()
each_argument = pytest.mark.parametrize("name", ARGUMENTS)


def test_every_argument_is_an_input_and_nothing_else_is() -> None:
    assert sorted(INPUTS) == sorted(ARGUMENTS)


@each_argument
def test_input_has_the_flag_of_its_argument(name: str) -> None:
    options, flag = ARGUMENTS[name].option_strings, INPUTS[name].get("command-line-flag")
    assert flag in options if options else flag is None


@each_argument
def test_input_is_optional_where_its_argument_is(name: str) -> None:
    assert INPUTS[name]["optional"] is bool(ARGUMENTS[name].option_strings)


@each_argument
def test_input_has_the_choices_of_its_argument(name: str) -> None:
    assert INPUTS[name].get("value-choices") == (list(ARGUMENTS[name].choices or ()) or None)


def kind_of(action: argparse.Action) -> object:
    """Return the type of the values of an argument."""
    return type(next(iter(action.choices))) if action.choices else action.type


@each_argument
def test_input_has_the_type_of_its_argument(name: str) -> None:
    action = ARGUMENTS[name]
    if action.nargs == 0:
        expected: tuple[str, bool | None] = ("Flag", None)
    elif {kind_of(action)} & {int, float}:
        expected = ("Number", True if kind_of(action) is int else None)
    else:
        expected = ("File" if name in EXISTING else "String", None)
    assert (INPUTS[name]["type"], INPUTS[name].get("integer")) == expected


@each_argument
def test_input_is_a_list_where_its_argument_is(name: str) -> None:
    n_values = ARGUMENTS[name].nargs
    entry = INPUTS[name]
    assert entry.get("list", False) is (n_values == "+" or (isinstance(n_values, int) and n_values > 0))
    if isinstance(n_values, int) and n_values > 0:
        assert entry["min-list-entries"] == entry["max-list-entries"] == n_values


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if ARGUMENTS[name].option_strings])
def test_input_has_the_default_of_its_argument(name: str) -> None:
    default = ARGUMENTS[name].default
    if INPUTS[name]["type"] == "Flag" or default in (None, ()):
        assert "default-value" not in INPUTS[name]
    else:
        assert INPUTS[name]["default-value"] == (list(default) if isinstance(default, tuple) else default)


@each_argument
def test_command_line_holds_every_input_once(name: str) -> None:
    assert DESCRIBED["command-line"].split().count(INPUTS[name]["value-key"]) == 1


def test_descriptor_and_documents_are_what_the_options_say() -> None:
    described = runpy.run_path(str(ROOT / "containers" / "describe.py"))
    for name, made in (("boutiques.json", described["descriptor"]), ("docs/usage.md", described["usage"])):
        there = (ROOT / name).read_text(encoding="utf-8")
        assert made(there) == there, f"{name} is outdated: run make describe"


def test_version_is_that_of_the_package() -> None:
    assert DESCRIBED["tool-version"] == __version__
    assert DESCRIBED["container-image"]["image"].endswith(f":{__version__}")


def test_every_exit_code_is_told() -> None:
    family = [BidsT1Error]
    for error in family:
        family.extend(error.__subclasses__())
    assert {entry["code"] for entry in DESCRIBED["error-codes"]} == {error.exit_code for error in family} | {
        Stopped.exit_code
    }


def test_settings_of_cbrain_speak_of_inputs_and_outputs_that_are_there() -> None:
    modules = DESCRIBED["custom"]["cbrain:integrator_modules"]
    maker = modules["BoutiquesBidsSingleSubjectMaker"]
    outputs = {entry["id"] for entry in DESCRIBED["output-files"]}
    assert {maker["dataset_input_id"], maker["subjects_input_id"], *modules["BoutiquesFileTypeVerifier"]} <= set(INPUTS)
    assert set(modules["BoutiquesOutputFileTypeSetter"]) <= outputs


def bosh(*words: str | Path) -> str:
    """Run ``bosh``; its answer where it succeeds."""
    done = subprocess.run([BOSH, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def simulated(folder: Path, invocation: Mapping[str, object]) -> argparse.Namespace:
    """Return what the parser makes of the command that Boutiques builds."""
    path = folder / "invocation.json"
    path.write_text(json.dumps(invocation), encoding="utf-8")
    words = shlex.split(bosh("exec", "simulate", "-i", path, DESCRIPTOR).splitlines()[-1])
    assert words[0] == "bids_t1"
    return build_parser().parse_args(words[1:])


@needs_bosh
def test_descriptor_is_valid() -> None:
    assert "OK" in bosh("validate", DESCRIPTOR)


@needs_bosh
def test_every_test_of_the_descriptor_is_a_valid_invocation(tmp_path: Path) -> None:
    for case in DESCRIBED["tests"]:
        simulated(tmp_path, case["invocation"])


@needs_bosh
def test_invocation_without_options_is_the_command_without_options(tmp_path: Path) -> None:
    found = vars(simulated(tmp_path, {"bids_dir": "data", "output_dir_name": "out", "analysis_level": "participant"}))
    expected = vars(build_parser().parse_args(["data", "out", "participant"]))
    assert {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()} == {
        name: list(value) if isinstance(value, tuple) else value for name, value in expected.items()
    }


def value_of(entry: Mapping[str, Any]) -> object:
    """Return a value for an input that is not its default, as the parser reads it."""
    if entry["type"] == "Flag":
        return True
    value: object = f"some_{entry['id']}"
    if entry["type"] == "Number":
        value = 3 if entry.get("integer") else 0.75
    if "value-choices" in entry:
        value = entry["value-choices"][-1]
    return [value] * entry.get("max-list-entries", 3) if entry.get("list") else value


@needs_bosh
def test_every_input_reaches_its_argument(tmp_path: Path) -> None:
    disabled = {other for entry in INPUTS.values() for other in entry.get("disables-inputs", ())}
    invocation = {name: value_of(entry) for name, entry in INPUTS.items() if name not in disabled}
    found = simulated(tmp_path, invocation)
    for name, value in invocation.items():
        read = getattr(found, ARGUMENTS[name].dest)
        read = [str(one) if isinstance(one, Path) else one for one in (read if isinstance(read, list) else [read])]
        assert read == (value if isinstance(value, list) else [value]), name


@needs_bosh
def test_no_map_and_a_map_of_the_transmit_field_are_refused_together(tmp_path: Path) -> None:
    path = tmp_path / "invocation.json"
    inputs = {"bids_dir": "data", "output_dir_name": "out", "analysis_level": "participant"}
    path.write_text(json.dumps({**inputs, "no_b1": True, "b1_map": "b1.nii.gz"}), encoding="utf-8")
    done = subprocess.run([BOSH, "invocation", "-i", path, DESCRIPTOR], capture_output=True, text=True, check=False)
    assert done.returncode != 0
