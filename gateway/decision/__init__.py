"""Principal and target in, verdict out. Pure, and the only maker of a Permit."""
