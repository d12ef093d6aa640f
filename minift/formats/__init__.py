"""The file formats people really have: how each is recognised, how a row becomes a record."""
