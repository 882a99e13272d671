"""A study: variants × training seeds × cities from one file, scored on equal folds beside the floors."""
