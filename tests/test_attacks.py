"""A few of the attacks of `make attack-test`, each a real process in a scratch home; and that there are many."""

from collections import Counter
from dataclasses import replace

import pytest
from attacks.__main__ import described, met
from attacks.commands import Expected, Outcome, Payload, Problem
from attacks.payloads import KINDS, everything
from attacks.table import HEADER, alarms, rows

PICKED = {  # one of each kind, met by its last command: where that needs no torch, it is answered within a second
    "pickles": "as callbacks",
    "archives": "packed by method 8",
    "tensors": "strides of 0, vast",
    "checkpoints": "best_model_path outside",
    "networks": "a writer, http",
    "configurations": "a tag that calls",
    "settings": "a store by http",
    "results": "100,000 brackets",
    "sweeps": "a hook of Hydra's by a package",
    "links": ".lock to the thesis",
    "pipes": "results.json a pipe",
    "names": "a sweep with escape sequences",
    "seals": "of one's own run, this configuration edited",
}
NOTICED = ("os.system is noticed", "a connection is noticed", "a file more is noticed", "a traceback is noticed")


@pytest.fixture(scope="module")
def payloads() -> list[Payload]:
    return everything()


@pytest.fixture(scope="module")
def outcomes(payloads: list[Payload]) -> list[Outcome]:
    """What comes of the picked ones, and of programs that do harm."""
    wanted = {*PICKED.items(), *(("controls", name) for name in NOTICED)}
    some = [payload for payload in payloads if (payload.kind, payload.name) in wanted]
    return list(met([replace(payload, commands=payload.commands[-1:]) for payload in some]))


def test_there_are_many_payloads_of_every_kind(payloads: list[Payload]) -> None:
    names = Counter((payload.kind, payload.name) for payload in payloads)
    assert not [name for name, count in names.items() if count > 1]
    kinds = Counter(payload.kind for payload in payloads)
    assert set(kinds) == set(KINDS) and min(kinds.values()) >= 10
    assert sum(kinds.values()) >= 150
    assert all(payload.commands for payload in payloads)


@pytest.mark.parametrize("kind", PICKED)
def test_an_attack_does_no_harm(kind: str, outcomes: list[Outcome]) -> None:
    met_ones = [outcome for outcome in outcomes if outcome.payload.kind == kind]
    assert met_ones
    for outcome in met_ones:
        assert not outcome.is_wrong, described(outcome)


def test_harm_is_noticed(outcomes: list[Outcome]) -> None:
    found = {outcome.payload.name: set(outcome.problems) for outcome in outcomes if outcome.payload.kind == "controls"}
    assert found == {
        "os.system is noticed": {Problem.TOUCHED, Problem.EXECUTED},
        "a connection is noticed": {Problem.CONNECTED},
        "a file more is noticed": {Problem.TOUCHED},
        "a traceback is noticed": {Problem.TRACEBACK},
    }


def test_the_table_counts_them(outcomes: list[Outcome]) -> None:
    *kinds, last = rows(outcomes)
    assert [row[0] for row in kinds] == list(PICKED)
    commands = HEADER.index("commands")
    hostile = [outcome for outcome in outcomes if outcome.command.expected is not Expected.ALARM]
    assert last[commands] == str(len(hostile)) == str(sum(int(row[commands]) for row in kinds))
    assert alarms(outcomes) == "4 of 4 programs that do harm were noticed."
