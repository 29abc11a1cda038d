"""The items: popularity, category, author and price, looked up by popularity rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uih_lake.workload.streams import Stage, draws, stream
from uih_lake.workload.tables import Array, Draws, Ints, Zipf, lognormal, threshold

CATEGORIES = 32
ITEMS_PER_AUTHOR = 20
FOR_SALE = 0.35
TASTE = 0.6
"""Share of events on an item of one of the user's favourite categories."""


@dataclass(frozen=True)
class Catalogue:
    """Columns ``[items]`` by rank, the most popular item first; prices in cents, 0 not for sale."""

    popularity: Zipf
    item_id: Ints
    author_id: Ints
    category: Array
    cents: Ints

    def choose(self, draw: Draws, favourites: Ints, user: Array) -> Ints:
        """Ranks ``[rows]`` from draws ``[rows, 3]`` and the users' favourite categories."""
        rank = self.popularity(draw[:, 0], draw[:, 1])
        which = draw[:, 2] & (favourites.shape[1] - 1)
        liked = favourites.ravel()[user * favourites.shape[1] + which]
        # The item of the liked category that is about as popular as the one drawn.
        nearest = np.minimum(rank - rank % CATEGORIES + liked, len(self.item_id) - 1)
        return np.where(draw[:, 2] < threshold(TASTE), nearest, rank)


def catalogue(items: int, seed: int) -> Catalogue:
    """A catalogue of ``items`` items; ids are 1 to ``items`` in an order that tells nothing."""
    random = stream(seed, Stage.CATALOGUE)
    draw = draws(random, items, 4)
    authors = items // ITEMS_PER_AUTHOR + 1
    return Catalogue(
        popularity=Zipf(items, shift=50),
        item_id=random.permutation(items) + 1,
        author_id=(random.permutation(authors) + 1)[
            Zipf(authors, shift=10)(draw[:, 0], draw[:, 1])
        ],
        category=(np.arange(items) % CATEGORIES).astype(np.int32),
        cents=np.where(
            draw[:, 2] < threshold(FOR_SALE), lognormal(2500, 1.1, 99, 10**7)[draw[:, 3]], 0
        ),
    )
