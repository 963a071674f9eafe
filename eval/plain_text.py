"""Text from articles, runs and models, made safe to show."""


def printable(text: str) -> str:
    """The text without what moves a cursor, changes a colour or turns the direction of writing."""
    return "".join(character if character.isprintable() else " " for character in text)
