import pytest

from storyloom.memory.action import Manner, action, reader_words


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("open the door", "You open the door."),
        ("Open  the\ndoor!", "You open the door!"),
        ("You open the door.", "You open the door."),
        ("you’re leaving", "you’re leaving."),
        ("Slowly you open the door", "Slowly you open the door."),
        ("I open the door", "You open the door."),
        ("i’m leaving, I am", "You're leaving, you are."),
        ("my hand opens it", "Your hand opens it."),
        ("open my umbrella", "You open your umbrella."),
        (
            "carry my brother into the mine and hide myself",
            "You carry your brother into the mine and hide yourself.",
        ),
        ('shout "I am here, wait for me!"', 'You shout "I am here, wait for me!"'),
        ("Slowly I walk to the icy shore", "Slowly you walk to the icy shore."),
        ("SHOUT at the gulls", "You SHOUT at the gulls."),
        ("ask the keeper whether he knows you", "You ask the keeper whether he knows you."),
        ("A key?", "You a key?"),
        ("…", "…"),
        ("  ", ""),
    ],
)
def test_what_is_done_is_told_in_the_second_person(text: str, plan: str) -> None:
    assert action(text, Manner.DO) == plan


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("Who is there?", 'You say: "Who is there?"'),
        ('"Who is there?"', 'You say: "Who is there?"'),
        ("“Who is there?”", 'You say: "Who is there?"'),
        ('he said "no" to me', 'You say: "he said "no" to me"'),
        (' "" ', '""'),
        ("", ""),
    ],
)
def test_what_is_said_stands_in_quotes(text: str, plan: str) -> None:
    assert action(text, Manner.SAY) == plan


def test_the_narrator_s_word_stands_as_it_is() -> None:
    assert action(" A gull lands on the rail ", Manner.STORY) == "A gull lands on the rail"


def test_in_another_language_nothing_is_put_before() -> None:
    assert action("öffne die Tür", Manner.DO, "de") == "öffne die Tür"
    assert action("Wer da?", Manner.SAY, "de") == "“Wer da?”"


@pytest.mark.parametrize("manner", list(Manner))
@pytest.mark.parametrize("text", ["open the door", "Who is there?", "A gull lands.", 'he said "no"'])
def test_a_plan_gives_the_words_back_that_make_it(text: str, manner: Manner) -> None:
    plan = action(text, manner)
    assert action(*reader_words(plan)) == plan


def test_the_words_of_speech_are_those_that_were_spoken() -> None:
    assert reader_words('You say: "Who is there?"') == ("Who is there?", Manner.SAY)
    assert reader_words("You open the door.") == ("You open the door.", Manner.DO)
    assert reader_words("A gull lands") == ("A gull lands", Manner.STORY)
    assert reader_words("") == ("", Manner.STORY)
