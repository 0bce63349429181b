"""The table of epochs, as it stands on a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from mnist_lightning.sweeps import display
from mnist_lightning.sweeps.display import REPORT
from mnist_lightning.terminal.command import wrapped
from mnist_lightning.terminal.epochs import EpochTable, shown

EPOCH = {"train/loss": 0.25, "test/loss": 0.5, "test/accuracy": 0.75}


def test_a_header_stands_above_the_first_line_and_above_new_columns() -> None:
    table = EpochTable(EPOCH)
    lines = [table.line("1/10", EPOCH, 4.44), table.line("2/10", EPOCH, 101.0)]
    assert "\n".join(lines).split("\n") == [
        "        train    test      test",
        "epoch    loss    loss  accuracy     time",
        " 1/10  0.2500  0.5000    75.00%    4.4 s",
        " 2/10  0.2500  0.5000    75.00%  101.0 s",
    ]
    assert table.line("3/10", EPOCH | {"test/recall": 0.5}, 1.0).split("\n") == [
        "        train    test      test    test",
        "epoch    loss    loss  accuracy  recall     time",
        " 3/10  0.2500  0.5000    75.00%  0.5000    1.0 s",
    ]


def test_it_fits_into_sixty_columns_with_held_out_images() -> None:
    names = ["train/loss", "val/loss", "val/accuracy", "test/loss", "test/accuracy"]
    table = EpochTable(names)
    assert max(map(len, table.line("10/10", dict.fromkeys(names, 1.0), 12.3).split("\n"))) == 58


def test_what_was_not_measured_is_left_blank() -> None:
    table = EpochTable(EPOCH)
    table.header()
    assert table.line("7", {"train/loss": 0.25}, 1.0) == "    7  0.2500                      1.0 s"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.12345, "0.1235"), (12.3456, "12.345"), (12345.6, "12345"), (-1.5, "-1.500"), (7.3e26, "7.3e+26")],
)
def test_a_loss_keeps_its_column_however_large(number: float, text: str) -> None:
    assert shown("train/loss", number) == text


def test_a_sweep_reads_how_far_a_job_is_from_its_lines() -> None:
    table = EpochTable(EPOCH)
    output = "\n".join(
        ["1/4 of something else", table.line("1/10", EPOCH, 1.0), table.report("2/10", 0.5, "step 30/90")]
    )
    assert REPORT.findall(output) == [("1", "10", "", ""), ("2", "10", "30", "90")]


def test_numbers_of_a_job_stay_whole_and_its_name_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=StringIO(), force_terminal=True, width=60, color_system=None)
    monkeypatch.setattr(display, "CONSOLE", terminal)
    board, name = display.Board(total=12), "3_lr=0.03,batch_size=64,momentum=0.9,seed=4"
    board.show(name, "10/10  0.3\n", {"epochs": [{"test_accuracy": 0.9876}]})
    terminal.print(board)
    *_, line = terminal.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith(name[:20]) and line.endswith("epoch 10/10  test accuracy 98.76%") and len(line) == 60


def test_lines_are_broken_between_words_and_commands_not_at_all() -> None:
    command = "python train.py resume=runs/mnist-cnn/2026-11-30_02-46-25 trainer.max_epochs=20"
    assert wrapped(f"interrupted. Go on from its last checkpoint: {command}", 30).split("\n") == [
        "interrupted. Go on from its",
        "    last checkpoint:",
        f"    {command}",
    ]
    for command in ("PYTHONPATH=/a/checkout python -m mnist_lightning.serve run", "tensorboard --logdir /a/path"):
        assert wrapped(f"try it         {command}", 36) == f"try it\n    {command}", "with all that belongs to it"
    said = "python -m mnist_lightning.evaluate: runs is not a run: there is none"
    assert wrapped(said, 50).split("\n") == [
        "python -m mnist_lightning.evaluate: runs is not a",
        "    run: there is none",
    ], "it begins with a command's name, which is none to type"
    path = "/a/long/path-with-hyphens/that-is-not-broken"
    assert wrapped(f"short {path} words", 20).split("\n") == ["short", f"    {path}", "    words"]
    assert wrapped("2/4  finished  52.7 s", 20).split("\n") == ["2/4  finished", "    52.7 s"]
    assert wrapped("as it is", 8) == "as it is"
    assert wrapped(f"words {command}", len(command) + 1).split("\n") == ["words", f" {command}"], "still in one line"
