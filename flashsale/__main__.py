"""`python -m flashsale` is the `flashsale` command."""

from flashsale.cli.main import main

if __name__ == "__main__":
    main()
