"""Cases of sidecars of inversion recovery: what a field may hold, and what a file may be."""

from __future__ import annotations

import json

from tests.corpus.case import Case, Place, Wanted, sidecar_of
from tests.corpus.mutations import (
    MISSING,
    all_fields,
    deep,
    empty,
    fields,
    folder,
    in_place_of_sidecar,
    link_to,
    pipe,
    raw_value,
    rewrite,
    scaled_fields,
    sidecar_bytes,
    sidecar_text,
    to_itself,
)

FINE, WARNED, FAILED = Wanted.FINE, Wanted.WARNED, Wanted.FAILED

NAME = r"sub-02_inv-3_IRT1\.json"
TIME = NAME + r".*InversionTime"


def _same_times(place: Place) -> None:
    rewrite(place.sidecar, lambda found: found.update(InversionTime=0.5))


def _times_swapped_units(place: Place) -> None:
    """One time in milliseconds, the others in seconds, all of them plausible by themselves."""
    rewrite(sidecar_of(place.images[0]), lambda found: found.update(InversionTime=100.0))


def _twice(key: str, first: object, second: object) -> str:
    return f'{{"{key}": {json.dumps(first)}, "RepetitionTime": 6.0, "EchoTime": 0.01, "{key}": {json.dumps(second)}}}'


VALUES = (
    Case("ir", "value", "InversionTime missing", fields(InversionTime=MISSING), FAILED, TIME + " is missing"),
    Case("ir", "value", "InversionTime null", fields(InversionTime=None), FAILED, TIME),
    Case("ir", "value", "InversionTime negative", fields(InversionTime=-1.2), FAILED, TIME + " is -1.2"),
    Case("ir", "value", "InversionTime 0", fields(InversionTime=0), FAILED, TIME + " is 0"),
    Case("ir", "value", "InversionTime 1e-300", fields(InversionTime=1e-300), FAILED, TIME + " is 1e-300"),
    Case("ir", "value", "InversionTime 1e-9", fields(InversionTime=1e-9), FAILED, TIME + " is 1e-09"),
    Case("ir", "value", "InversionTime 1e-5", fields(InversionTime=1e-5), FAILED, TIME + " is 1e-05"),
    Case("ir", "value", "all InversionTime in kiloseconds", scaled_fields("InversionTime", 1e-3), FAILED, "InversionTime"),
    Case("ir", "value", "InversionTime true", fields(InversionTime=True), FAILED, TIME + " is True"),
    Case("ir", "value", "InversionTime a text", fields(InversionTime="1.2"), FAILED, TIME + " is '1.2'"),
    Case("ir", "value", "InversionTime a list", fields(InversionTime=[1.2]), FINE),
    Case("ir", "value", "InversionTime a table", fields(InversionTime={"s": 1.2}), FAILED, TIME),
    Case("ir", "value", "InversionTime NaN", raw_value("InversionTime", "NaN"), FAILED, TIME + " is nan"),
    Case("ir", "value", "InversionTime Infinity", raw_value("InversionTime", "Infinity"), FAILED, TIME + " is inf"),
    Case("ir", "value", "InversionTime 1e400", raw_value("InversionTime", "1e400"), FAILED, TIME),
    Case("ir", "value", "InversionTime of 400 digits", raw_value("InversionTime", "1" * 400), FAILED, TIME),
    Case("ir", "value", "InversionTime of 5000 digits", raw_value("InversionTime", "1" * 5000), FAILED, NAME),
    Case("ir", "value", "InversionTime in ms", fields(InversionTime=1200), FAILED, TIME + " is 1200.*divide by 1000"),
    Case("ir", "value", "all InversionTime in ms", scaled_fields("InversionTime", 1e3), FAILED, "InversionTime is .*1000"),
    Case("ir", "value", "first InversionTime in ms", _times_swapped_units, FAILED, "inv-1_IRT1.json.*InversionTime is 100"),
    Case("ir", "value", "InversionTime as another one", _same_times, FAILED, "both have InversionTime 0.5 s"),
    Case("ir", "value", "InversionTime beyond RepetitionTime", fields(InversionTime=7.0), FAILED, "RepetitionTime"),
    Case("ir", "value", "RepetitionTime 0", all_fields(RepetitionTime=0), FAILED, "RepetitionTime is 0"),
    Case("ir", "value", "RepetitionTime negative", all_fields(RepetitionTime=-6), FAILED, "RepetitionTime is -6"),
    Case("ir", "value", "RepetitionTime in ms", all_fields(RepetitionTime=6000), FAILED, "RepetitionTime is 6000"),
    Case("ir", "value", "RepetitionTime a text", all_fields(RepetitionTime="6"), FAILED, "RepetitionTime is '6'"),
    Case("ir", "value", "RepetitionTime a list", all_fields(RepetitionTime=[6.0]), FINE),
    Case("ir", "value", "RepetitionTime missing", all_fields(RepetitionTime=MISSING), WARNED, "RepetitionTime"),
    Case("ir", "value", "RepetitionTimePreparation says it too",
         all_fields(RepetitionTimePreparation=6.0), FINE),
    Case("ir", "value", "RepetitionTimeExcitation 1e-12", all_fields(RepetitionTimeExcitation=1e-12), FINE),
    Case("ir", "value", "EchoTime a text", fields(EchoTime="ten"), FINE),
    Case("ir", "value", "EchoTime negative", fields(EchoTime=-0.01), FINE),
    Case("ir", "value", "EchoTime missing", all_fields(EchoTime=MISSING), FINE),
    Case("ir", "value", "MagneticFieldStrength a text", all_fields(MagneticFieldStrength="3T"), FINE),
    Case("ir", "value", "MagneticFieldStrength missing", all_fields(MagneticFieldStrength=MISSING), FINE),
    Case("ir", "value", "Manufacturer a number", all_fields(Manufacturer=7), FINE),
    Case("ir", "value", "Manufacturer a table", all_fields(Manufacturer={"a": [1]}), FINE),
    Case("ir", "value", "a field nobody knows", all_fields(Weather={"rain": [None, True]}), FINE),
    Case("ir", "value", "a key with a dot and a quote", all_fields(**{'a".b\'': 1}), FINE),
    Case("ir", "value", "an empty key", all_fields(**{"": 1}), FINE),
    Case("ir", "value", "IntendedFor a number", all_fields(IntendedFor=7), FINE),
    Case("ir", "value", "IntendedFor nested", all_fields(IntendedFor=[["a"], {"b": 1}]), FINE),
    Case("ir", "value", "IntendedFor outside of the dataset", all_fields(IntendedFor="../../../../etc/passwd"), FINE),
    Case("ir", "value", "markup in a text", all_fields(Manufacturer="<script>x</script>{{7*7}}"), FINE),
)  # fmt: skip

TEXTS = (
    Case("ir", "json", "empty", in_place_of_sidecar(empty), FAILED, NAME),
    Case("ir", "json", "an open brace", sidecar_text(lambda _: "{"), FAILED, NAME),
    Case("ir", "json", "cut", sidecar_text(lambda text: text[: len(text) // 2]), FAILED, NAME),
    Case("ir", "json", "a list", sidecar_text(lambda text: f"[{text}]"), FAILED, NAME),
    Case("ir", "json", "a number", sidecar_text(lambda _: "7"), FAILED, NAME),
    Case("ir", "json", "null", sidecar_text(lambda _: "null"), FAILED, NAME),
    Case("ir", "json", "words behind it", sidecar_text(lambda text: text + "end"), FAILED, NAME),
    Case("ir", "json", "a comment in it", sidecar_text(lambda text: text.replace("{", "{ // scanner\n", 1)), FAILED, NAME),
    Case("ir", "json", "a comma too many", sidecar_text(lambda text: text.rstrip()[:-1] + ",}"), FAILED, NAME),
    Case("ir", "json", "InversionTime twice", sidecar_text(lambda _: _twice("InversionTime", 1.2, 0.2)), FAILED,
         NAME + ".*InversionTime"),
    Case("ir", "json", "InversionTime twice, null behind", sidecar_text(lambda _: _twice("InversionTime", 1.2, None)),
         FAILED, NAME + ".*InversionTime"),
    Case("ir", "json", "InversionTime twice, the same", sidecar_text(lambda _: _twice("InversionTime", 1.2, 1.2)), FINE),
    Case("ir", "json", "a key twice in a nested table",
         sidecar_text(lambda text: text.replace("{", '{"Deep": {"a": 1, "a": 2}, ', 1)), FAILED, NAME),
    Case("ir", "json", "a mark of byte order", sidecar_bytes(lambda found: b"\xef\xbb\xbf" + found), FINE),
    Case("ir", "json", "UTF-16", sidecar_bytes(lambda found: found.decode().encode("utf-16")), FINE),
    Case("ir", "json", "Latin-1", sidecar_bytes(lambda found: found.replace(b"{", '{"Name": "Köln", '.encode("latin-1"), 1)),
         FAILED, NAME),
    Case("ir", "json", "zero bytes behind it", sidecar_bytes(lambda found: found + bytes(9)), FAILED, NAME),
    Case("ir", "json", "only zero bytes", sidecar_bytes(lambda found: bytes(len(found))), FAILED, NAME),
    Case("ir", "json", "arrays 100000 deep", sidecar_bytes(lambda _: deep()), FAILED, NAME),
    Case("ir", "json", "tables 100000 deep", sidecar_bytes(lambda _: b'{"a":' * 100_000 + b"1" + b"}" * 100_000), FAILED, NAME),
    Case("ir", "json", "arrays 100000 deep in a field", raw_value("Deep", deep().decode()), FAILED, NAME),
    Case("ir", "json", "arrays 900 deep in a field", raw_value("Deep", deep(900).decode()), FAILED, NAME),
    Case("ir", "json", "a lone surrogate in Manufacturer", raw_value("Manufacturer", '"\\ud800"'), FINE),
    Case("ir", "json", "a lone surrogate in a key", sidecar_text(lambda text: text.replace("{", '{"\\udfff": 1, ', 1)),
         FINE),
    Case("ir", "json", "a zero byte in a text", raw_value("Manufacturer", '"a\\u0000b"'), FINE),
    Case("ir", "json", "an unknown number of 5000 digits", raw_value("Weather", "1" * 5000), FINE),
    Case("ir", "json", "200000 keys",
         sidecar_text(lambda text: text.replace("{", "{" + ",".join(f'"k{i}":1' for i in range(200_000)) + ",", 1)),
         FINE),
    Case("ir", "json", "20 MB of text", fields(Comment="x" * 20_000_000), FAILED, NAME),
    Case("ir", "json", "a folder", in_place_of_sidecar(folder), FAILED, NAME),
    Case("ir", "json", "a pipe", in_place_of_sidecar(pipe), FAILED, NAME),
    Case("ir", "json", "a link to nothing", in_place_of_sidecar(link_to("../../.git/annex/objects/none")), FAILED, NAME),
    Case("ir", "json", "a link to itself", in_place_of_sidecar(to_itself), FAILED, NAME),
    Case("ir", "json", "a link to /dev/zero", in_place_of_sidecar(link_to("/dev/zero")), FAILED, NAME),
)  # fmt: skip

CASES = (*VALUES, *TEXTS)
