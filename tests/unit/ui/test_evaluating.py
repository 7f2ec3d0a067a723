from storyloom.ui import evaluating


def test_what_has_overflowed_is_told_in_words() -> None:
    number, nothing = {"mean": 1.25, "low": 1.0, "high": 1.5}, {"mean": None, "low": None, "high": None}
    stretch = {
        "from": 0,
        "to": 1024,
        "loss": {"on": nothing, "zeroed": number},
        "difference": {"on-zeroed": {"mean": None, "low": None, "high": 2.0}},
    }
    title, rows = evaluating.perplexity(
        {"way": "segmented", "books": 3, "buckets": [stretch], "whole": stretch, "behind_first_segment": None}
    )
    assert title == "Loss by position, nats a token, segmented, 3 books:"
    assert list(map(list, rows)) == [
        ["tokens", "on", "zeroed", "on-zeroed"],
        *[["0 to 1,024", "overflowed", "1.2500", "overflowed"]] * 2,
    ]


def test_an_interval_stands_behind_its_mean() -> None:
    number = {"mean": 0.5, "low": -0.25, "high": 1.25}
    one = {"size": 5, "gap": 1024, "first": number, "same": number, "other": number, "verbatim": number}
    _, rows = evaluating.nouns({"lists": [one]})
    assert list(rows[1]) == ["5", "1,024", "0.50", "0.50", "0.50", "+0.50 (-0.25 to +1.25)"]


def test_a_synthetic_cache_is_named_so() -> None:
    read = {
        "model": "model",
        "length": 2048,
        "synthetic": False,
        "prefill_seconds": 1.5,
        "tokens_a_second": 20.0,
        "attention_bytes": 3_000_000,
        "memory_bytes": 0,
    }
    filled = {**read, "length": 65_536, "synthetic": True, "prefill_seconds": None}
    title, rows = evaluating.cost(
        {"costs": [read, filled], "ratio": {"from": 2048, "to": 65_536, "by_model": {"model": 1.05}}}
    )
    assert title == "Cost of a token; at 65,536 tokens over 2,048: model 1.05:"
    assert [row[3] for row in rows] == ["prefill, s", "1.50", "synthetic"]
