"""Faker's lists of words, read when the first record is made: importing Faker takes longer than starting the server."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple


class Words(NamedTuple):
    """What records are made of."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    colours: tuple[str, ...]
    words: tuple[str, ...]
    towns: tuple[str, ...]
    firms: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]


@cache
def words() -> Words:
    """All of them."""
    from faker.providers.address.en_US import Provider as Places
    from faker.providers.color import Provider as Colours
    from faker.providers.company import Provider as Companies
    from faker.providers.lorem.en_US import Provider as Lorem
    from faker.providers.person.en_US import Provider as Persons

    return Words(
        first_names=tuple(Persons.first_names),
        last_names=tuple(Persons.last_names),
        colours=tuple(Colours.all_colors),
        words=tuple(Lorem.word_list),
        towns=tuple(Places.city_suffixes),
        firms=tuple(Companies.company_suffixes),
        phrases=tuple(tuple(each) for each in Companies.catch_phrase_words),
    )
