from typing import Any

import pytest
import torch

from storyloom.generators.longcontext.training.books import Shelf
from storyloom.generators.longcontext.training.loop import train
from storyloom.generators.longcontext.training.teaching import Teacher
from tests.unit.generators.longcontext.proof import llama
from tests.unit.generators.longcontext.training.small import corpus, model, plan


def loss(student: Any, layers: list[int]) -> float:
    """What a student is away from the LLaMA that it was made from."""
    teacher = Teacher(llama(torch.float32), student, layers)
    segment = Shelf(corpus(20, 50), 2, seed=0).next(30)
    hidden = student.model(input_ids=segment.ids, attention_mask=segment.mask).last_hidden_state
    found = teacher.loss(hidden, segment).item()
    teacher.close()
    return found


@pytest.mark.parametrize("layers", [[0], [2], [0, 1, 2]])
def test_a_model_that_says_the_same_has_nothing_to_learn(layers: list[int]) -> None:
    assert abs(loss(model("lact", opened=False), layers)) < 1e-5
    assert loss(model("lact"), layers) > 0.01


def test_each_layer_adds_what_it_is_away() -> None:
    student = model("lact")
    assert loss(student, [1]) > loss(student, []) + 1e-3


def test_a_student_comes_nearer() -> None:
    student = model("hybrid")
    before = loss(student, [1])
    fields = {"tokens": 2500, "lengths": (32,), "learning_rate": 0.005}
    train(student, corpus(20, 50), plan(**fields), teacher=llama(torch.float32))
    assert loss(student, [1]) < before / 2


def test_a_model_is_left_as_it_was() -> None:
    student = model("lact")
    loss(student, [0, 1])
    assert not any(layer._forward_pre_hooks for layer in student.model.layers)
