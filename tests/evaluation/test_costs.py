import pytest

from srntt_pipeline.errors import InputError
from srntt_pipeline.evaluation.costs import (
    COLUMNS,
    COST_NOTE,
    COSTS,
    cost_notes,
    read_costs,
    shown_count,
    write_costs,
)
from srntt_pipeline.evaluation.tables import TABLE_COLUMNS, summarise

ROW = {
    "method": "EDSR", "parameters": 1_518_000, "multiply_adds_per_pixel": 12_345.5,
    "seconds_per_image": 0.25, "peak_memory_mib": 512, "cost_device": "two cores",
    "image": "001", "reference": "none", "made_from": "abc",
}  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    write_costs(tmp_path / "costs.csv", [ROW, {"method": "Theirs"}])
    costs = read_costs(tmp_path)
    assert costs["EDSR"] == ROW
    assert isinstance(costs["EDSR"]["parameters"], int)
    assert costs["Theirs"] == dict.fromkeys(COLUMNS) | {"method": "Theirs"}


def test_an_evaluation_of_an_earlier_version_has_no_costs(tmp_path):
    assert read_costs(tmp_path) == {}


@pytest.mark.parametrize(
    "text",
    [
        "method\nx\n",
        "",
        ",".join(COLUMNS) + "\nx,many,,,,,,,\n",
        ",".join(COLUMNS) + "\nx,-1,,,,,,,\n",
        ",".join(COLUMNS) + "\nx,inf,,,,,,,\n",
        ",".join(COLUMNS) + "\nx\n",
        "\0",
    ],
)
def test_other_files_are_refused_by_name(tmp_path, text):
    (tmp_path / "costs.csv").write_text(text)
    with pytest.raises(InputError, match=r"costs\.csv: not what evaluate writes") as refusal:
        read_costs(tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (7, "7"), (864, "864"), (999.6, "1 k"), (1000, "1 k"), (71_400, "71.4 k"),
        (999_999, "1 M"), (1_518_000, "1.52 M"), (2.1e9, "2.1 G"), (3e12, "3 T"),
    ],
)  # fmt: skip
def test_counts_have_three_digits(value, shown):
    assert shown_count(value) == shown


def test_costs_stand_at_the_end_of_each_row_of_their_method():
    image = {"dataset": "demo", "image": "001", "protocol": "luma", "reference_images": 0,
             "psnr_db": 25.0, "ssim": 0.7}  # fmt: skip
    shown = (("Bicubic", "none"), ("EDSR", "none"), ("EDSR", "L1"))
    rows = [image | {"method": method, "reference": reference} for method, reference in shown]
    table = summarise(rows, {"EDSR": ROW})
    assert TABLE_COLUMNS[-len(COSTS) :] == COSTS
    assert [row["parameters"] for row in table] == [None, 1_518_000, 1_518_000]
    assert [row["cost_device"] for row in table] == [None, "two cores", "two cores"]
    assert [row["parameters"] for row in summarise(rows)] == [None] * 3


def test_the_note_names_the_device_and_methods_where_they_differ():
    assert cost_notes([{"method": "A"}, {"method": "B", "cost_device": None}]) == []
    one = [{"method": name, "cost_device": "two cores"} for name in "ABA"]
    assert cost_notes(one) == [f"{COST_NOTE} two cores."]
    two = [*one, {"method": "C", "cost_device": "a GPU"}]
    assert cost_notes(two) == [f"{COST_NOTE} A, B on two cores; C on a GPU."]
