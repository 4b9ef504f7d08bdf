"""The second pass: every row of the inputs with the hub that its tile belongs to."""
