"""LIBERO's tasks as a world of ours. Without the extra `libero` only `suites` can be imported."""
