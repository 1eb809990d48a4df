"""The command `segstream`."""


def main() -> int:
    return 0
