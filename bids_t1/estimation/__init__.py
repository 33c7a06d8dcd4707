"""Step 2: the engine. It knows no sequence, only columns of a signal model."""
