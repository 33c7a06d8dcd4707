"""BIDS names survive reading and writing, and indices are numbers."""

from __future__ import annotations

import pytest
from bidsschematools.schema import load_schema
from hypothesis import given
from hypothesis import strategies as st

from bids_t1.data.entities import ENTITY_ORDER, BidsName, strip_label
from bids_t1.data.errors import InvalidInputError

LABELS = st.from_regex(r"[0-9A-Za-z+]{1,8}", fullmatch=True)
NAMES = st.builds(
    BidsName.build,
    st.dictionaries(st.sampled_from(ENTITY_ORDER), LABELS),
    st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True),
    st.sampled_from(["", ".json", ".nii.gz", ".tsv"]),
)


@given(NAMES)
def test_a_name_is_read_as_it_is_written(name: BidsName) -> None:
    assert BidsName.parse(str(name)) == name


@given(NAMES, st.randoms())
def test_the_order_in_a_file_name_does_not_matter(name: BidsName, random: object) -> None:
    *pairs, suffix = f"{name}".removesuffix(name.extension).split("_")
    random.shuffle(pairs)  # type: ignore[attr-defined]
    assert BidsName.parse("_".join([*pairs, suffix]) + name.extension) == name


@given(NAMES, st.sampled_from(ENTITY_ORDER), LABELS)
def test_setting_and_removing_an_entity_changes_only_it(name: BidsName, key: str, label: str) -> None:
    changed = name.having({key: label})
    assert changed.get(key) == label
    assert changed.having({key: name.get(key)}) == name
    assert name.having({key: None}).get(key) is None


def test_the_order_of_entities_is_that_of_bids() -> None:
    schema = load_schema()
    assert list(ENTITY_ORDER) == [schema.objects.entities[entity].name for entity in schema.rules.entities]


@given(st.integers(0, 999), st.integers(0, 4))
def test_indices_are_numbers_however_many_zeros_lead(number: int, zeros: int) -> None:
    assert BidsName.parse(f"sub-01_inv-{'0' * zeros}{number}_IRT1.nii.gz").index("inv") == number


def test_a_missing_index_is_none_and_a_word_is_refused() -> None:
    name = BidsName.parse("sub-01_inv-a_IRT1.nii.gz")
    assert name.index("run") is None
    with pytest.raises(InvalidInputError, match=r"sub-01_inv-a_IRT1\.nii\.gz: inv-a is not a number; expected"):
        name.index("inv")


@pytest.mark.parametrize(
    "filename",
    ["sub-01_left_T1map.nii", "sub-_T1map.nii", "sub-0 1_T1map.nii", "sub-01_sub-02_T1map.nii", "__T1map.nii"],
)
def test_names_that_are_not_bids_are_refused_by_name(filename: str) -> None:
    with pytest.raises(InvalidInputError, match="is not a BIDS entity; expected key-label") as caught:
        BidsName.parse(filename)
    assert filename in str(caught.value)


def test_unknown_entities_are_refused() -> None:
    with pytest.raises(
        InvalidInputError, match=r"^sub-01_colour-red_T1map\.nii\.gz: colour is no entity of BIDS; expected"
    ):
        BidsName.parse("sub-01_colour-red_T1map.nii.gz")


def test_files_lie_in_the_folders_of_participant_and_session() -> None:
    assert BidsName.parse("sub-01_T1map.nii").folder("anat") == "sub-01/anat"
    assert BidsName.parse("sub-01_ses-a_T1map.nii").folder("fmap") == "sub-01/ses-a/fmap"


@given(LABELS)
def test_labels_may_be_given_with_or_without_their_key(label: str) -> None:
    assert strip_label("sub", label) == strip_label("sub", f"sub-{label}") == label


@pytest.mark.parametrize("label", ["", "sub-", "a b", "a_b", "../x", "é"])
def test_labels_that_bids_does_not_allow_are_refused(label: str) -> None:
    with pytest.raises(InvalidInputError, match=r"expected letters, digits and \+ only"):
        strip_label("sub", label)
