import pytest
from hypothesis import given
from hypothesis import strategies as st

from srntt_pipeline.array_job import ArrayPart
from srntt_pipeline.errors import InputError


@given(st.lists(st.integers()), st.integers(1, 20))
def test_parts_have_each_item_once_and_are_of_much_the_same_size(items, n):
    parts = [ArrayPart(k, n).of(items) for k in range(1, n + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


def test_text_is_read_and_written():
    assert ArrayPart.parse("3/16") == ArrayPart(3, 16)
    assert str(ArrayPart(3, 16)) == "3/16"
    assert ArrayPart.parse("3/16").of(range(40)) == range(2, 40, 16)


@pytest.mark.parametrize(
    "text",
    ["0/4", "5/4", "a/b", "", "3", "3/", "/3", "-1/4", "0/0", "1/2/3", "1.0/2", "²/4"],
)
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match=r"k/n with k from 1 to n, such as 3/16$") as error:
        ArrayPart.parse(text)
    assert str(error.value).startswith(f"--shard {text}: ")
