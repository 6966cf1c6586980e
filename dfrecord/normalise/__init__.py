"""What a recording says, in a normal form: which exchanges are kept and why, bodies parsed, secrets known."""
