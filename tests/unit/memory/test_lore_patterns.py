import pytest

from storyloom.memory.lore_patterns import LONGEST_PATTERN, BadPattern, Stopwatch, parsed


def found(key: str, text: str) -> bool:
    pattern = parsed(key)
    assert pattern is not None
    return Stopwatch().finds(pattern, text)


@pytest.mark.parametrize("key", ["dragon", "a/b", "/a/b/", "/usr/bin", "//", "/home/user/x/q"])
def test_a_key_without_the_form_is_plain(key: str) -> None:
    assert parsed(key) is None


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("/drag(on|oon)s?/", "two dragoons"),
        ("/DRAGON/i", "a dragon"),
        (r"/\/\/x/", "//x"),
        ("/^b/m", "a\nb"),
        ("/a.b/s", "a\nb"),
        (r"/\u{1F409}/u", "🐉"),
        (r"/\uD83D\uDC09/", "🐉"),
        (r"/(?<name>a)b\k<name>/gi", "aBA"),
        (r"/\p{Script=Greek}+/u", "ωμέγα"),
        ("/[^]/", "\n"),
        (r"/\cA/", "\x01"),
        (r"/\-\e\A/", "-eA"),
        ("/(?:fuzzy){e<=2}/", "fuzzy{e<=2}"),
        ("/[[a]x/", "[x"),
        (r"/(?<!x)y(?!z)/", "y"),
        (r"/\bétoile\b/", "une étoile brille"),
    ],
)
def test_javascripts_constructs_are_understood(key: str, text: str) -> None:
    assert found(key, text)


@pytest.mark.parametrize(
    ("key", "text"), [("/a$/", "a\n"), ("/[]/", "a"), ("/A/", "a"), (r"/\bking\b/", "liking")]
)
def test_what_javascript_does_not_find_is_not_found(key: str, text: str) -> None:
    assert not found(key, text)


@pytest.mark.parametrize(
    "key",
    [
        "/(/",
        "/(?R)/",
        "/(?P<n>a)/",
        "/[z-a]/",
        r"/\u{110000}/u",
        "/a{99999999999}/",
        "/*/",
        r"/\p{Nonsense}/",
    ],
)
def test_what_is_no_expression_of_javascript_is_refused(key: str) -> None:
    with pytest.raises(BadPattern):
        parsed(key)


def test_patterns_are_bounded_in_length_and_depth() -> None:
    with pytest.raises(BadPattern, match="longer than"):
        parsed("/" + "a" * (LONGEST_PATTERN + 1) + "/")
    with pytest.raises(BadPattern, match="nested"):
        parsed("/" + "(" * 900 + "a" + ")" * 900 + "/")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("/(a|aa)+$/", "a" * 80 + "b"),
        ("/^(([a-z])+.)+[A-Z]([a-z])+$/", "a" * 5000),
        ("/(x+x+)+y/", "x" * 5000),
        ("/((a{1,1000}){1,1000}){1,1000}x/", "a" * 500),
    ],
)
def test_a_catastrophic_expression_ends_within_the_limit(key: str, text: str) -> None:
    with pytest.raises(TimeoutError, match="too long"):
        found(key, text)


def test_the_classic_catastrophe_is_only_slow_in_long_texts() -> None:
    assert not found("/(a+)+$/", "a" * 40 + "b")
    assert found("/(a+)+$/", "a" * 5000)


def test_all_searches_together_have_a_limit() -> None:
    readings = iter([0.0, 0.7, 0.7, 1.4])
    stopwatch = Stopwatch(clock=lambda: next(readings))
    pattern = parsed("/a/")
    assert pattern is not None
    assert stopwatch.finds(pattern, "a")
    assert stopwatch.finds(pattern, "a")
    with pytest.raises(TimeoutError, match="used up"):
        stopwatch.finds(pattern, "a")
