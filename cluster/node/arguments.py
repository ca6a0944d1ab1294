"""Options that are added to somebody's command line. Stdlib only, pure."""

from collections.abc import Sequence


def with_options(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return `words` with more options: before the first --, behind which another command stands.

    The same options again, behind earlier ones of a name, are those that count.
    """
    place = words.index("--") if "--" in words else len(words)
    return [*words[:place], *options, *words[place:]]
