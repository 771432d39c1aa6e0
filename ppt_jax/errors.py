"""The one exception that entry points print without a traceback."""


class UserError(Exception):
    """Something the user gave is wrong: a file, a field, a flag, a config value.

    Entry points print the message alone (no traceback) and exit with status 2. The message says
    what was wrong, where (file, line, field), and what would be right. Rooms derive their own
    errors from it, so that library users can catch them by name.
    """


def printable(text: object) -> str:
    """Text that a terminal or a log can show as it is; what does not print is written as an escape.

    Names and ids come from files of anybody; a raw escape sequence in a message could clear a
    screen, and a line break could forge a line of a log.

    Example:
      >>> printable("red \x1b[31m and \u202e turned")
      'red \\x1b[31m and \\u202e turned'
    """
    kept = str(text)
    if kept.isprintable():
        return kept
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in kept
    )
