"""The one exception that entry points print without a traceback."""


class UserError(Exception):
    """Something the user gave is wrong: a file, a field, a flag, a config value.

    Entry points print the message alone (no traceback) and exit with status 2. The message says
    what was wrong, where (file, line, field), and what would be right. Rooms derive their own
    errors from it, so that library users can catch them by name.
    """
