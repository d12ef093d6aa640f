"""The data of the course: what data.generate wrote, and the code that wrote it."""
