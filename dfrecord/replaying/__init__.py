"""Running a journey against an instance, and comparing what it finds there."""
