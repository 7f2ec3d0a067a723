import torch

from storyloom.generators.longcontext.training.books import IGNORED, Segment, Shelf
from tests.unit.generators.longcontext.training.small import corpus


def read(shelf: Shelf, steps: int, length: int = 16) -> list[Segment]:
    return [shelf.next(length) for _ in range(steps)]


def tokens_of(segments: list[Segment], row: int = 0) -> list[list[int]]:
    """The books of a row, from where each begins."""
    books: list[list[int]] = []
    for part in segments:
        real = part.labels[row] != IGNORED
        if part.fresh[row]:
            books.append([int(part.ids[row, 0])])
        books[-1] += part.labels[row][real].tolist()
    return books


def test_a_row_reads_every_book_whole_before_it_reads_one_again() -> None:
    shelf = corpus()
    books = tokens_of(read(Shelf(shelf, 1, seed=0), 40))
    whole = {tuple(shelf.book(index).tolist()) for index in range(len(shelf))}
    assert {tuple(book) for book in books[:3]} == whole
    assert {tuple(book) for book in books[3:6]} == whole


def test_every_pass_has_its_own_order() -> None:
    orders = [[len(book) for book in tokens_of(read(Shelf(corpus(), 1, seed), 60))][:9] for seed in range(4)]
    assert len({tuple(order) for order in orders}) > 1
    assert any(order[:3] != order[3:6] for order in orders)


def test_what_follows_a_token_is_its_label() -> None:
    for part in read(Shelf(corpus(), 2, seed=0), 20):
        for row in range(2):
            length = int((part.labels[row] != IGNORED).sum())
            assert torch.equal(part.ids[row, 1:length], part.labels[row, : length - 1])


def test_rows_end_apart_and_padding_is_not_counted() -> None:
    parts = read(Shelf(corpus(20, 50), 2, seed=0), 2)
    assert parts[0].mask is None
    assert parts[0].tokens == 32
    assert parts[1].mask is not None
    assert sorted(parts[1].mask.sum(1).tolist()) == [3, 16]
    assert parts[1].tokens == 19
    assert (parts[1].labels[parts[1].mask == 0] == IGNORED).all()


def test_a_shelf_goes_on_at_its_position() -> None:
    one = Shelf(corpus(), 2, seed=3)
    read(one, 7)
    other = Shelf(corpus(), 2, seed=3)
    other.go_to(one.position())
    for a, b in zip(read(one, 20), read(other, 20), strict=True):
        assert torch.equal(a.ids, b.ids)
        assert torch.equal(a.labels, b.labels)
        assert torch.equal(a.fresh, b.fresh)
