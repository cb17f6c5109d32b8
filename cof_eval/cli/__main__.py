"""`python -m cof_eval.cli`."""

from .app import main

main()
