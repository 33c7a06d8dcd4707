"""Cases of options, of what lies in out_dir, and of the level group."""

from __future__ import annotations

import json
import shutil
import sqlite3
from typing import TYPE_CHECKING

from tests.corpus.case import BAD, Case, Place, Wanted, nothing
from tests.corpus.mutations import deep, link_to, pipe, to_itself

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FINE, WARNED, FAILED, REFUSED = Wanted.FINE, Wanted.WARNED, Wanted.FAILED, Wanted.REFUSED


def aside(name: str, content: bytes | str) -> Callable[[Place], object]:
    """Write a file that an option names."""

    def change(place: Place) -> None:
        path = place.aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return change


def aside_thing(name: str, make: Callable[[Path], object]) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        path = place.aside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

    return change


def _sqlite(tables: str) -> Callable[[Place], object]:
    def change(place: Place) -> None:
        with sqlite3.connect(place.aside / "layout_index.sqlite") as found:
            found.executescript(tables)
        found.close()

    return change


def _usage(
    words: str,
    *options: str,
    names: str,
    change: Callable[[Place], object] = nothing,
    code: int = 64,
    form: str = "ir",
) -> Case:
    """Return a case of options that cannot be right: finished results stay byte for byte."""
    return Case(form, "option", words, change, REFUSED, names, code=code, options=options, finished=True)


def _out_is_in(place: Place) -> None:
    """Make out_dir a link to bids_dir."""
    shutil.rmtree(place.out_dir)
    place.out_dir.symlink_to(place.bids_dir)


def _database(words: str, change: Callable[[Place], object]) -> Case:
    """Return a case of a saved index that is none: nobody has images then."""
    options = ("--bids-database-dir", "{aside}")
    return Case("ir", "option", f"database {words}", change, FAILED, "database", code=64, options=options)


FILTER = ("--bids-filter-file", "{aside}/filter.json")
PROTOCOL = ("--protocol", "{aside}/protocol.toml")

OPTIONS = (
    _usage("t1-range in ms", "--t1-range", "20", "6000", names="t1-range.*20 6000"),
    _usage("t1-range reversed", "--t1-range", "6", "0.02", names="t1-range"),
    _usage("t1-range NaN", "--t1-range", "nan", "6", names="t1-range"),
    _usage("t2star-range in ms", "--t2star-range", "1", "1000", names="t2star-range"),
    _usage("session that is not there", "--session-label", "pre", names="pre", code=18),
    _usage("participant that is not there", "--participant-label", "07", names="07", code=18),
    _usage("participant outside of the dataset", "--participant-label", "../../etc", names="label.*etc"),
    _usage("participant of another script", "--participant-label", "\u0660\u0662", names="label.*0660"),
    _usage("nprocs 0", "--nprocs", "0", names="nprocs"),
    _usage("nprocs a word", "--nprocs", "two", names="nprocs"),
    _usage("mem-mb 0", "--mem-mb", "0", names="mem-mb"),
    _usage("mem-mb too little for what is finished", "--mem-mb", "1", names="finished before", code=0),
    Case("ir", "option", "mem-mb too little", nothing, FAILED, "mem-mb", code=74, options=("--mem-mb", "1")),
    _usage("unknown option", "--frobnicate", names="frobnicate"),
    _usage("inversion-efficiency NaN", "--inversion-efficiency", "nan", names="inversion-efficiency", form="mp2rage"),
    _usage("inversion-efficiency with slope NaN", "--inversion-efficiency", "0.9", "nan", names="inversion-efficiency",
           form="mp2rage"),
    _usage("inversion-efficiency 96", "--inversion-efficiency", "96", names="inversion-efficiency", form="mp2rage"),
    _usage("inversion-efficiency with slope inf", "--inversion-efficiency", "0.9", "inf", names="inversion-efficiency",
           form="mp2rage"),
    _usage("noise-sd NaN", "--noise-sd", "nan", names="noise-sd", form="mp2rage"),
    _usage("b1-prior NaN", "--b1-prior", "nan", "0.3", names="b1-prior", form="mp2rage"),
    _usage("b1-map that is not there", "--b1-map", "{aside}/none", names="none", code=66, form="mp2rage"),
    _usage("protocol that is not there", *PROTOCOL, names="protocol"),
    _usage("protocol cut", *PROTOCOL, names="protocol", change=aside("protocol.toml", "[MP2RAGE")),
    _usage("protocol deep", *PROTOCOL, names="protocol", change=aside("protocol.toml", b"a = " + deep(20_000))),
    _usage("protocol not UTF-8", *PROTOCOL, names="protocol", change=aside("protocol.toml", b"a = '\xe9'")),
    _usage("protocol of an unknown sequence", *PROTOCOL, names="protocol", change=aside("protocol.toml", "[Nothing]\na = 1\n")),
    _usage("protocol a folder", *PROTOCOL, names="protocol", change=aside_thing("protocol.toml", lambda path: path.mkdir())),
    _usage("protocol a pipe", *PROTOCOL, names="protocol", change=aside_thing("protocol.toml", pipe)),
    _usage("filter that is not there", *FILTER, names="filter"),
    _usage("filter cut", *FILTER, names="filter", change=aside("filter.json", "{")),
    _usage("filter deep", *FILTER, names="filter", change=aside("filter.json", deep())),
    _usage("filter a list", *FILTER, names="filter", change=aside("filter.json", "[]")),
    _usage("filter a pipe", *FILTER, names="filter", change=aside_thing("filter.json", pipe)),
    _usage("filter a link to itself", *FILTER, names="filter", change=aside_thing("filter.json", to_itself)),
    _usage("filter of an unknown entity", *FILTER, names="colour|entit", change=aside("filter.json", '{"IRT1": {"colour": "red"}}')),
    _usage("filter run 10^30", *FILTER, names="filter|run", change=aside("filter.json", '{"IRT1": {"run": 1' + "0" * 30 + "}}")),
    _usage("filter run of a table", *FILTER, names="filter|run", change=aside("filter.json", '{"IRT1": {"run": {"a": 1}}}')),
    _usage("filter that matches nothing", *FILTER, names="gold|filter", change=aside("filter.json", '{"IRT1": {"acquisition": "gold"}}'),
           code=18),
    _usage("filter with a key twice", *FILTER, names="filter",
           change=aside("filter.json", '{"IRT1": {"run": 1, "run": 2}}')),
    _database("that is not SQLite", aside("layout_index.sqlite", b"junk" * 500)),
    _database("empty", aside("layout_index.sqlite", b"")),
    _database("of other tables", _sqlite("create table a (b int);")),
    _usage("derivatives that are not there", "-d", "{aside}/none", names="none", code=66),
    _usage("calibration that is not there", "--calibration", "{aside}/none", names="none", code=66, form="mp2rage"),
    _usage("out_dir is bids_dir", names="bids_dir", change=_out_is_in),
    _usage("work-dir is bids_dir", "-w", "{bids_dir}", names="work|bids_dir"),
)  # fmt: skip


def _another_dataset(place: Place) -> None:
    """Make out_dir a raw dataset of its own, of the same participants."""
    shutil.copytree(place.bids_dir, place.out_dir)


def _shared_derivatives(place: Place) -> None:
    """Make out_dir a folder of several derivatives."""
    for name in ("fmriprep", "freesurfer"):
        (place.out_dir / name / BAD).mkdir(parents=True)
        (place.out_dir / name / BAD / "mri.txt").write_text("hours of work")
        (place.out_dir / name / "dataset_description.json").write_text('{"Name": "other", "BIDSVersion": "1.10.0"}')


def _out_of(files: dict[str, str]) -> Callable[[Place], object]:
    """Put files into out_dir."""

    def change(place: Place) -> None:
        for name, content in files.items():
            path = place.out_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    return change


def _converted_is_another(place: Place) -> None:
    """Make out_dir/sourcedata/raw a dataset that somebody else made."""
    raw = place.out_dir / "sourcedata" / "raw"
    (raw / BAD / "anat").mkdir(parents=True)
    (raw / BAD / "anat" / f"{BAD}_T1w.nii.gz").write_bytes(b"precious")
    (raw / "dataset_description.json").write_text('{"Name": "study", "BIDSVersion": "1.10.0"}')


def _cut_map(place: Place) -> None:
    path = next((place.out_dir / BAD).rglob("*desc-IRT1_T1map.nii.gz"))
    path.write_bytes(path.read_bytes()[:100])


def _map_gone(place: Place) -> None:
    next((place.out_dir / BAD).rglob("*desc-IRT1_T1map.nii.gz")).unlink()


def _records(place: Place, content: bytes) -> None:
    for path in (place.out_dir / "logs").glob(f"{BAD}*conversion.json"):
        path.write_bytes(content)


def _cut_converted(place: Place) -> None:
    path = next((place.out_dir / "sourcedata" / "raw" / BAD).rglob("*.nii.gz"))
    path.write_bytes(path.read_bytes()[:100])


OTHER = '{"Name": "another program", "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "fMRIPrep"}]}'

OUTPUT = (
    Case("ir", "output", "another raw dataset", _another_dataset, REFUSED, "out", code=73),
    Case("dicom", "output", "another folder of scanner files", _another_dataset, REFUSED, "out", code=73),
    Case("ir", "output", "another program's derivatives",
         _out_of({"dataset_description.json": OTHER, f"{BAD}/anat/x.nii.gz": "precious"}), REFUSED, "out", code=73),
    Case("ir", "output", "a folder of several derivatives", _shared_derivatives, REFUSED, "out", code=73),
    Case("ir", "output", "participants and no description", _out_of({f"{BAD}/anat/x.nii.gz": "precious"}), REFUSED, "out", code=73),
    Case("ir", "output", "a description that is none",
         _out_of({"dataset_description.json": "[]", f"{BAD}/anat/x.nii.gz": "precious"}), REFUSED, "out", code=73),
    Case("ir", "output", "only somebody's files", _out_of({"thesis.tex": "precious"}), REFUSED, "out", code=73),
    Case("dicom", "output", "converted data are another dataset", _converted_is_another, REFUSED, "out", code=73),
    Case("ir", "output", "a file", lambda place: place.out_dir.write_text("x"), REFUSED, "out", code=73),
    Case("ir", "output", "a link to nothing", lambda place: link_to("none/none")(place.out_dir), FINE, ""),
    Case("ir", "output", "a log of before is deep",
         lambda place: (place.out_dir / "logs" / f"{BAD}.json").write_bytes(deep()), FINE, finished=True),
    Case("ir", "output", "a log of before is cut",
         lambda place: (place.out_dir / "logs" / f"{BAD}.json").write_bytes(b'{"runs": ['), FINE, finished=True),
    Case("ir", "output", "a log of before is a list",
         lambda place: (place.out_dir / "logs" / f"{BAD}.json").write_bytes(b"[]"), FINE, finished=True),
    Case("ir", "output", "a log of before is not UTF-8",
         lambda place: (place.out_dir / "logs" / f"{BAD}.json").write_bytes(b"\xff"), FINE, finished=True),
    Case("ir", "output", "a map of before is cut", _cut_map, FINE, finished=True),
    Case("ir", "output", "a map of before is gone", _map_gone, FINE, finished=True),
    Case("dicom", "output", "a conversion record is deep",
         lambda place: _records(place, deep()), FINE, finished=True),
    Case("dicom", "output", "a conversion record is a list", lambda place: _records(place, b"[]"), FINE, finished=True),
    Case("dicom", "output", "a conversion record lacks fields", lambda place: _records(place, b"{}"), FINE, finished=True),
    Case("dicom", "output", "a converted image is cut", _cut_converted, FINE, finished=True),
    Case("ir", "valid", "finished before", nothing, FINE, "finished before|left as it is", finished=True),
)  # fmt: skip


def _log(change: Callable[[dict[str, object]], object]) -> Callable[[Place], object]:
    """Change the log of the participant."""

    def edit(place: Place) -> None:
        path = place.out_dir / "logs" / f"{BAD}.json"
        log = json.loads(path.read_text(encoding="utf-8"))
        change(log)
        path.write_text(json.dumps(log), encoding="utf-8")

    return edit


def _log_bytes(content: bytes) -> Callable[[Place], object]:
    return lambda place: (place.out_dir / "logs" / f"{BAD}.json").write_bytes(content)


def _log_is(make: Callable[[Path], object]) -> Callable[[Place], object]:
    """Put something else where the log was."""

    def change(place: Place) -> None:
        path = place.out_dir / "logs" / f"{BAD}.json"
        path.unlink()
        make(path)

    return change


def _run(**changes: object) -> Callable[[Place], object]:
    """Change what the log says of the first run; None takes it away."""

    def change(log: dict[str, object]) -> None:
        runs = log["runs"]
        assert isinstance(runs, list)
        runs[0].update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del runs[0][key]

    return _log(change)


GROUP = tuple(
    Case("ir", "group", words, change, FINE, names, options=("--calibration-preset", "none"), level="group")
    for words, change, names in (
        ("as it is", nothing, ""),
        ("log deep", _log_bytes(deep()), "02"),
        ("log cut", _log_bytes(b'{"runs": ['), "02"),
        ("log empty", _log_bytes(b""), "02"),
        ("log a list", _log_bytes(b"[]"), "02"),
        ("log not UTF-8", _log_bytes(b"\xff\xfe"), "02"),
        ("log without versions", _log(lambda log: log.pop("versions")), "02"),
        ("log with versions that are a list", _log(lambda log: log.update(versions=[])), "02"),
        ("log with runs that are a number", _log(lambda log: log.update(runs=7)), "02"),
        ("log with failures that are a number", _log(lambda log: log.update(failures=7)), "02"),
        ("run without name", _run(name=None), "02"),
        ("run whose name is none", _run(name="../../../etc/passwd"), "02"),
        ("run without quartiles", _run(summary={"Voxels": 1, "MedianSD": 0.1}), "02"),
        ("run with one quartile", _run(summary={"Voxels": 1, "MedianSD": 0.1, "Quartiles": [1.0]}), "02"),
        ("run with quartiles that are texts", _run(summary={"Voxels": 1, "MedianSD": 0.1, "Quartiles": ["a", "b", "c"]}), "02"),
        ("run with warnings that are a number", _run(warnings=7), "02"),
        ("maps gone", lambda place: shutil.rmtree(place.out_dir / BAD), ""),
        ("log a pipe", _log_is(pipe), "02"),
        ("log a link to nothing", _log_is(link_to("none")), "02"),
    )
)  # fmt: skip

CASES = (*OPTIONS, *OUTPUT, *GROUP)
