"""Lessons: the chapter, section by section, as scripts in cells."""
