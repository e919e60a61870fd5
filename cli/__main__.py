"""Start `avzsl`. Every process that a command starts imports this module again, so it imports the rest only on call."""


def main() -> None:
    """Run the command of this process and exit with its code."""
    from cli.main import main as run

    run()


if __name__ == "__main__":
    main()
