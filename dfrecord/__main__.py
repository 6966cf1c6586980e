"""`python -m dfrecord`."""

from dfrecord.cli import main

main()
