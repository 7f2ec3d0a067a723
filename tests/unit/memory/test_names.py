import pytest

from storyloom.memory.names import cast, names

SCENE = (
    'Mara stood at the edge. "Come here," Elias Thorne said. The old captain, Mr. Holt, came from Port '
    'Haven. Suddenly Mara’s lamp went out, and I saw God. Suddenly it rained. "Stop!" Mara cried.'
)


def test_names_need_more_than_a_sentence_start() -> None:
    assert names(SCENE) == ["Mara", "Elias", "Thorne", "Holt", "Port", "Haven"]


def test_a_word_that_also_stands_in_lower_case_is_no_name() -> None:
    assert names("Dogs bark. Dogs bite. He feared dogs, said Ana to Bo.") == ["Ana", "Bo"]


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("fr", "Elle vit Jean. Jean parlait à Marie.", ["Jean", "Marie"]),
        ("de", "Der Hund lief zu Anna. Anna rief den Hund. Hunde bellten im Garten.", ["Anna"]),
        ("ja", "太郎は駅へ行った。花子が待っていた。", []),
        ("ru", "Там стояла Анна. Анна ждала.", ["Анна"]),
    ],
)
def test_names_in_other_languages(language: str, text: str, expected: list[str]) -> None:
    assert names(text, language) == expected


def test_shouted_words_and_initials_are_no_names() -> None:
    assert names("She read the word STOP on it, by A and B.") == []


def test_the_cast_has_people_and_no_places() -> None:
    told = "She sailed to Haven, and in Haven she ate. Then Mara met Elias, and Elias told Mara all."
    assert cast([told]) == ["Mara", "Elias"]


def test_a_place_that_somebody_is_named_for_counts_too() -> None:
    assert cast(["He asked Haven, he begged Haven, in Haven."]) == ["Haven"]


def test_the_cast_has_first_names_only() -> None:
    assert cast(["He met Elias Thorne, and again Elias Thorne."]) == ["Elias"]


def test_the_cast_of_a_bare_premise_is_its_first_word() -> None:
    assert cast(["Mara, a lighthouse keeper, finds a letter."]) == ["Mara"]


def test_where_no_list_tells_openers_from_names_a_single_opener_is_none() -> None:
    assert cast(["Eine alte Frau findet im Wald eine Tür."], "de") == []


@pytest.mark.parametrize(
    ("premise", "people"),
    [
        ("Ada Quill, who mends nets, finds a letter. She tells only Jonas.", ["Ada", "Jonas"]),
        ("Old Tom sleeps beside Ada.", ["Tom", "Ada"]),
        ("Suddenly Ada calls Jonas.", ["Ada", "Jonas"]),
    ],
)
def test_a_first_name_that_opens_the_premise_is_known_by_the_name_behind_it(
    premise: str, people: list[str]
) -> None:
    assert cast([premise]) == people


def test_a_premise_without_names_has_no_cast() -> None:
    assert cast(["A lighthouse keeper finds a letter.", ""]) == []
