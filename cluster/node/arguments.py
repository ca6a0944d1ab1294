"""Options of a command line that are added, or given more than once. Stdlib only, pure."""

from collections.abc import Collection, Sequence


def with_options(words: Sequence[str], options: Sequence[str]) -> list[str]:
    """Return `words` with more options: before the first --, behind which another command stands.

    Of an option of one value that was there before, the later value is the one that counts.
    """
    place = words.index("--") if "--" in words else len(words)
    return [*words[:place], *options, *words[place:]]


def gathered(words: Sequence[str], lists: Collection[str]) -> list[str]:
    """Return `words` with all values of each option of `lists` behind its first mention.

    A person writes `--option a=1 --option b=2`; the parser would keep the last alone.
    """
    values: dict[str, list[str]] = {}
    found: list[str | list[str]] = []
    current: list[str] | None = None
    for place, word in enumerate(words):
        if word == "--":
            found += words[place:]
            break
        name, equals, value = word.partition("=")
        name = name.replace("_", "-")
        if word.startswith("--"):
            current = None
            if name in lists:
                if name not in values:
                    values[name] = [name]
                    found.append(values[name])
                current = values[name]
                current += [value] if equals else []
                continue
        elif len(word) == 2 and word[0] == "-" and word[1].isalpha():  # as -o
            current = None
        (found if current is None else current).append(word)
    return [word for item in found for word in ([item] if isinstance(item, str) else item)]
