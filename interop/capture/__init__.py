"""Parts of `capture_golden.py`: servers, wire tap, the cases, and the golden files."""
