"""Chance of the lore: every draw depends on the step's seed and on what is drawn for, and on nothing else."""

import hashlib


def draw(seed: int, purpose: str, *names: str) -> float:
    """A number from 0 up to 1, the same for the same arguments on any machine.

    Because each entry has a draw of its own, neither the order nor the number of the others changes it.

    Args:
        seed: the step's.
        purpose: what is drawn, so that two draws for one entry differ.
        names: for whom, such as an entry's id.
    """
    text = "\x00".join((str(seed), purpose, *names))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
