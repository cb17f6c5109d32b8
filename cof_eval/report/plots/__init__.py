"""The figures of a report, a module each, in one style."""
